//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// prometheus is a running server of that name.
type prometheus struct{ url string }

// startPrometheus runs one that scrapes a server each second with a key.
func startPrometheus(t *testing.T, f *freshet, key string) *prometheus {
	t.Helper()
	dir := t.TempDir()
	target, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: freshet
    authorization: {credentials: %s}
    static_configs: [{targets: [%q]}]
`, key, target.Host), 0o600); err != nil {
		t.Fatal(err)
	}
	listen := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	p := &prometheus{url: "http://" + listen}
	cmd := exec.Command(filepath.Join(root, ".cache/prometheus/usr/bin/prometheus"),
		"--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", listen)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	runBeside(t, "prometheus", cmd)
	eventually(t, 60*time.Second, func() error {
		if n := len(p.query(t, `up == 1`, time.Now(), time.Now())); n != 1 {
			return fmt.Errorf("%d targets are up", n)
		}
		return nil
	})
	return p
}

// series is one line of a graph: values by time, in steps of queryStep.
type series struct {
	labels map[string]string
	values map[int64]float64 // by Unix time in milliseconds
}

const queryStep = time.Second

// query evaluates an expression at each step between two times.
func (p *prometheus) query(t *testing.T, expr string, from, to time.Time) []series {
	t.Helper()
	seconds := func(at time.Time) string { return strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64) }
	res, err := http.PostForm(p.url+"/api/v1/query_range", url.Values{
		"query": {expr}, "start": {seconds(from)}, "end": {seconds(to)}, "step": {strconv.FormatFloat(queryStep.Seconds(), 'f', 3, 64)},
	})
	if err != nil {
		return nil // it is not there yet
	}
	raw, err := io.ReadAll(res.Body)
	if closeErr := res.Body.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode == http.StatusServiceUnavailable {
		return nil // it reads its log
	}
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct {
				Metric map[string]string
				Values [][2]any
			}
		}
	}
	if err := json.Unmarshal(raw, &answer); err != nil {
		t.Fatalf("%s: %v: %s", expr, err, raw)
	}
	if answer.Status != "success" {
		t.Errorf("%s: %s", expr, answer.Error)
	}
	var list []series
	for _, r := range answer.Data.Result {
		s := series{r.Metric, map[int64]float64{}}
		for _, v := range r.Values {
			at, _ := v[0].(float64)
			text, _ := v[1].(string)
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatalf("%s: %v", expr, err)
			}
			s.values[int64(at*1000+0.5)] = value
		}
		list = append(list, s)
	}
	return list
}
