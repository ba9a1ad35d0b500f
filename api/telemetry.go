package api

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"freshet/server"
)

// How much telemetry tells. Without a level it is counts alone.
const (
	describeCollections = 1 // without their names
	nameCollections     = 2
)

// telemetry tells what this process is and has done. Nothing is sent anywhere.
func telemetry(r *request) (any, error) {
	level, _, err := r.uint("details_level")
	if err != nil {
		return nil, err
	}
	anonymize, err := r.flag("anonymize", false)
	if err != nil {
		return nil, err
	}
	responses, err := r.s.metrics.byRoute()
	if err != nil {
		return nil, err
	}
	app := map[string]any{
		"name":    "freshet",
		"version": CompatibleVersion,
		"startup": r.s.started.UTC().Format(time.RFC3339Nano),
	}
	names := slices.DeleteFunc(r.s.db.Collections(), func(name string) bool { return !r.mayRead(name) })
	collections := map[string]any{"number_of_collections": len(names)}
	if level >= describeCollections {
		app["features"] = map[string]bool{
			"debug": false, "service_debug_feature": false, "recovery_mode": false, "gpu": false, "rocksdb": false, "staging": false,
		}
		list := []any{}
		for _, name := range names {
			info, ok := infoOf(r.s.db, name)
			if !ok {
				continue
			}
			described, err := describe(&info, level, anonymize)
			if err != nil {
				return nil, err
			}
			list = append(list, described)
		}
		collections["collections"] = list
	}
	return map[string]any{
		"id":          r.s.id,
		"app":         app,
		"collections": collections,
		"cluster":     map[string]any{"enabled": false, "resharding_enabled": false},
		"requests": map[string]any{
			"rest": map[string]any{"responses": responses},
			"grpc": map[string]any{"responses": map[string]any{}},
		},
	}, nil
}

// infoOf describes a collection, if it is still there.
func infoOf(db *server.DB, name string) (server.Info, bool) {
	c, err := db.Collection(name)
	if err != nil {
		return server.Info{}, false
	}
	info, err := c.Info()
	return info, err == nil
}

func describe(info *server.Info, level uint64, anonymize bool) (map[string]any, error) {
	config, err := configOf(&info.Config)
	if err != nil {
		return nil, err
	}
	if level < nameCollections {
		return map[string]any{"vectors": info.IndexedVectors, "optimizers_status": "ok", "params": config["params"]}, nil
	}
	id := info.Name
	if anonymize {
		digest := sha256.Sum256([]byte(id))
		id = hex.EncodeToString(digest[:])
		delete(config, "metadata")
	}
	return map[string]any{"id": id, "config": config}, nil
}

// byRoute returns what was answered since the start: by route and status, how often
// and how fast.
func (m *metrics) byRoute() (map[string]map[string]any, error) {
	routes := map[string]map[string]any{}
	list := make(chan prometheus.Metric)
	go func() {
		m.durations.Collect(list)
		close(list)
	}()
	var failed error
	for metric := range list {
		var v dto.Metric
		if err := metric.Write(&v); err != nil {
			failed = fmt.Errorf("read the metrics: %w", err)
			continue
		}
		labels := map[string]string{}
		for _, l := range v.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		route := labels["method"] + " " + inBraces(labels["endpoint"])
		if routes[route] == nil {
			routes[route] = map[string]any{}
		}
		n, seconds := v.GetHistogram().GetSampleCount(), v.GetHistogram().GetSampleSum()
		routes[route][labels["status"]] = map[string]any{"count": n, "avg_duration_micros": seconds * 1e6 / float64(max(n, 1))}
	}
	return routes, failed
}

// inBraces turns the parameters of a route from :name into {name}.
func inBraces(route string) string {
	parts := strings.Split(route, "/")
	for i, part := range parts {
		if name, ok := strings.CutPrefix(part, ":"); ok {
			parts[i] = "{" + name + "}"
		}
	}
	return strings.Join(parts, "/")
}
