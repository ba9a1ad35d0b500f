package api

import "testing"

func TestPreferredEncoding(t *testing.T) {
	for accepted, want := range map[string]string{
		"":                               "",
		"identity":                       "",
		"br":                             "",
		"gzip":                           "gzip",
		"gzip, zstd":                     "zstd",
		"gzip, deflate, br, zstd":        "zstd",
		"GZIP":                           "gzip",
		"zstd;q=0.5, gzip":               "gzip",
		"zstd; q=0.9,gzip;q=0.9":         "zstd",
		"gzip;q=0":                       "",
		"gzip;q=0.000, zstd;q=0":         "",
		"*":                              "zstd",
		"*;q=0.1, gzip;q=0.2":            "gzip",
		"zstd;q=0, *":                    "gzip",
		"gzip;q=2":                       "",
		"gzip;q=NaN":                     "",
		"gzip;level=1":                   "",
		"gzip;q=0.001, identity;q=0.999": "",
		"gzip, identity":                 "gzip",
	} {
		if got := preferred(accepted); got != want {
			t.Errorf("%q: got %q, want %q", accepted, got, want)
		}
	}
}
