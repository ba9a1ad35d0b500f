package filter

import (
	"fmt"
	"math"
)

// earthRadius is the mean radius in metres.
const earthRadius = 6371008.8

// location is a place on the globe, in degrees.
type location struct {
	Lon *float64 `json:"lon"`
	Lat *float64 `json:"lat"`
}

func (l location) check() error {
	if l.Lon == nil {
		return missing("lon")
	}
	if l.Lat == nil {
		return missing("lat")
	}
	if math.Abs(*l.Lat) > 90 || math.Abs(*l.Lon) > 180 {
		return fmt.Errorf("Wrong format of GeoPoint payload: expected `lat` = %v within [-90;90] and `lon` = %v within [-180;180]", *l.Lat, *l.Lon)
	}
	return nil
}

// Spot returns the place a payload value stands for.
func Spot(v any) (lon, lat float64, ok bool) {
	m, isMap := v.(map[string]any)
	if !isMap {
		return 0, 0, false
	}
	lon, okLon := Number(m["lon"])
	lat, okLat := Number(m["lat"])
	return lon, lat, okLon && okLat && math.Abs(lat) <= 90 && math.Abs(lon) <= 180
}

// in tests a payload value against an area.
func in(a Area, v any) bool {
	lon, lat, ok := Spot(v)
	return ok && a.Contains(lon, lat)
}

type box struct {
	TopLeft     location `json:"top_left"`
	BottomRight location `json:"bottom_right"`
}

func (b box) Holds(v any) bool { return in(b, v) }

func (b box) Contains(lon, lat float64) bool {
	if lat >= *b.TopLeft.Lat || lat <= *b.BottomRight.Lat {
		return false
	}
	west, east := *b.TopLeft.Lon, *b.BottomRight.Lon
	if west > east { // across the antimeridian
		return lon > west || lon < east
	}
	return lon > west && lon < east
}

// Edges implements Area.
func (b box) Edges() int { return 4 }

func (b box) Frames() []Frame {
	west, east := *b.TopLeft.Lon, *b.BottomRight.Lon
	if west > east {
		east += 360
	}
	return frames(west, *b.BottomRight.Lat, east, *b.TopLeft.Lat)
}

type circle struct {
	Center location `json:"center"`
	Radius *float64 `json:"radius"` // metres
}

func (c circle) Holds(v any) bool { return in(c, v) }

func (c circle) Contains(lon, lat float64) bool {
	return Haversine(lon, lat, *c.Center.Lon, *c.Center.Lat) < *c.Radius
}

// Edges implements Area.
func (c circle) Edges() int { return 1 }

func (c circle) Frames() []Frame { return circleFrames(*c.Center.Lon, *c.Center.Lat, *c.Radius) }

// Haversine is the great-circle distance in metres.
func Haversine(lon1, lat1, lon2, lat2 float64) float64 {
	const rad = math.Pi / 180
	dLat, dLon := (lat2-lat1)*rad, (lon2-lon1)*rad
	h := math.Pow(math.Sin(dLat/2), 2) + math.Cos(lat1*rad)*math.Cos(lat2*rad)*math.Pow(math.Sin(dLon/2), 2)
	return 2 * earthRadius * math.Asin(math.Sqrt(min(1, h)))
}

type ring struct {
	Points []location `json:"points"`
}

func (r ring) check() error {
	for _, p := range r.Points {
		if err := p.check(); err != nil {
			return err
		}
	}
	n := len(r.Points)
	if n < 4 {
		return fmt.Errorf("Validation failed: polygon invalid, the size must be at least 4, got %d", n)
	}
	if *r.Points[0].Lon != *r.Points[n-1].Lon || *r.Points[0].Lat != *r.Points[n-1].Lat {
		return fmt.Errorf("Validation failed: polygon invalid, the first and the last points should be the same to form a closed line")
	}
	return nil
}

// contains says whether a place lies inside the ring: whether a ray from it to the east
// crosses the ring an odd number of times. On the ring it is neither inside nor outside.
func (r ring) contains(lon, lat float64) (inside, on bool) {
	for i := 1; i < len(r.Points); i++ {
		aLon, aLat := *r.Points[i-1].Lon, *r.Points[i-1].Lat
		bLon, bLat := *r.Points[i].Lon, *r.Points[i].Lat
		if (bLon-aLon)*(lat-aLat) == (bLat-aLat)*(lon-aLon) && // on the line
			min(aLon, bLon) <= lon && lon <= max(aLon, bLon) && min(aLat, bLat) <= lat && lat <= max(aLat, bLat) {
			return false, true
		}
		if (aLat > lat) != (bLat > lat) && lon < (bLon-aLon)*(lat-aLat)/(bLat-aLat)+aLon {
			inside = !inside
		}
	}
	return inside, false
}

type polygon struct {
	Exterior  *ring  `json:"exterior"`
	Interiors []ring `json:"interiors"`
}

func (p polygon) check() error {
	if p.Exterior == nil {
		return missing("exterior")
	}
	for _, r := range append([]ring{*p.Exterior}, p.Interiors...) {
		if err := r.check(); err != nil {
			return err
		}
	}
	return nil
}

func (p polygon) Holds(v any) bool { return in(p, v) }

// Edges implements Area.
func (p polygon) Edges() int {
	n := len(p.Exterior.Points)
	for _, r := range p.Interiors {
		n += len(r.Points)
	}
	return n
}

func (p polygon) Frames() []Frame {
	first := p.Exterior.Points[0]
	west, south, east, north := *first.Lon, *first.Lat, *first.Lon, *first.Lat
	for _, l := range p.Exterior.Points {
		west, east = min(west, *l.Lon), max(east, *l.Lon)
		south, north = min(south, *l.Lat), max(north, *l.Lat)
	}
	return frames(west, south, east, north)
}

// Contains is of what lies inside: an edge is no part of the area.
func (p polygon) Contains(lon, lat float64) bool {
	if inside, _ := p.Exterior.contains(lon, lat); !inside {
		return false
	}
	for _, r := range p.Interiors {
		if inside, on := r.contains(lon, lat); inside || on {
			return false
		}
	}
	return true
}
