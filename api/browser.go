package api

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
)

// pages decides which web pages may use the server. A browser runs pages of anybody on a
// machine that may reach it. Where a key is asked for they do not have it; where none is,
// two things keep them out:
//
//   - A page of another origin cannot read an answer (CORS), and what is neither GET nor
//     HEAD is refused, since browsers send some of it without asking first.
//   - A page whose own name was made to point at this machine (DNS rebinding) is of the
//     server's origin. It is known by the name it asks for, so a server that only this
//     machine can reach takes no name that belongs to somebody else.
type pages struct {
	all     bool     // may use it
	origins []string // that may, besides the server's own; none: those of this machine
	free    bool     // no key is asked for
	local   bool     // only this machine can reach the server
	others  http.CrossOriginProtection
}

func newPages(o Options, free bool) *pages {
	return &pages{
		all:     slices.Contains(o.Origins, "*") || len(o.Origins) == 0 && !free,
		origins: o.Origins, free: free, local: o.Local,
	}
}

// cors tells browsers whose pages may read answers.
func (p *pages) cors() echo.MiddlewareFunc {
	if p.all {
		return middleware.CORS()
	}
	c := middleware.DefaultCORSConfig
	c.AllowOriginFunc = func(origin string) (bool, error) { return p.allow(origin), nil }
	return middleware.CORSWithConfig(c)
}

// allow says whether pages of an origin, other than the server's own, may use it.
func (p *pages) allow(origin string) bool {
	switch {
	case p.all:
		return true
	case len(p.origins) > 0:
		return slices.Contains(p.origins, origin)
	}
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return isLocalhost(u.Hostname()) || err == nil && ip.IsLoopback()
}

// known says whether a host that a request is for can be this machine's: nobody can
// point an address, localhost or a name without a dot elsewhere.
func (p *pages) known(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil || isLocalhost(name) || !strings.Contains(name, ".") ||
		slices.ContainsFunc(p.origins, func(origin string) bool {
			u, err := url.Parse(origin)
			return err == nil && strings.EqualFold(u.Hostname(), name)
		})
}

func isLocalhost(name string) bool {
	name = strings.ToLower(name)
	return name == "localhost" || strings.HasSuffix(name, ".localhost")
}

func (p *pages) check(r *http.Request) error {
	if p.local && !p.known(r.Host) {
		return forbidden("without a key the server takes no requests for %.200q, http.cors_origins can name it", r.Host)
	}
	origin := r.Header.Get(echo.HeaderOrigin)
	if origin != "" && p.allow(origin) || p.others.Check(r) == nil {
		return nil
	}
	return forbidden("without a key the server takes no requests of pages of %.200q, http.cors_origins can name it", origin)
}

// guardPages refuses what web pages that may not use the server ask for.
func (s *Server) guardPages(next echo.HandlerFunc) echo.HandlerFunc {
	if s.pages.all || !s.pages.free {
		return next
	}
	return func(c echo.Context) error {
		err := s.pages.check(c.Request())
		if err == nil {
			return next(c)
		}
		return s.refuse(c, err)
	}
}
