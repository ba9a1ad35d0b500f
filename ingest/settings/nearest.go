package settings

import (
	"fmt"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Nearest asks whether the nearest of the known names was meant, if one is near: an end of an
// error about a name that there is not, "" for none.
func Nearest(name string, known []string) string {
	if name == "" {
		return ""
	}
	best, distance := "", 1+max(2, len(name)/3)
	for _, k := range known {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", best)
}
