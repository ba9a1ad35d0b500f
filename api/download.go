package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"syscall"
	"time"
)

// Bounds of a snapshot that comes over the network.
const (
	recoveryTime = 24 * time.Hour
	stallTime    = time.Minute // without a byte
	maxRedirects = 5
)

// errAddress means that a location leads to where no snapshots are.
var errAddress = errors.New("the address is link-local, multicast, unspecified or that of a cloud's metadata")

// secretive are the addresses that are not link-local at which clouds tell machines their
// secrets: those of AWS and Google by IPv6, of Alibaba, Azure and Oracle.
var secretive = []netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"), netip.MustParseAddr("fd20:ce::254"),
	netip.MustParseAddr("100.100.100.200"), netip.MustParseAddr("168.63.129.16"), netip.MustParseAddr("192.0.0.192"),
}

// translated is where gateways of IPv6 put the addresses of IPv4 (RFC 6052).
var translated = netip.MustParsePrefix("64:ff9b::/96")

// checkAddress refuses addresses at which clouds tell machines their secrets, and
// those of no machine. It sees what names were resolved to.
func checkAddress(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if translated.Contains(ip) {
		whole := ip.As16()
		ip = netip.AddrFrom4([4]byte(whole[12:]))
	}
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() || slices.Contains(secretive, ip.WithZone("")) {
		return errAddress
	}
	return nil
}

// downloads has no proxy: it would look up names in our place.
var downloads = &http.Client{
	Transport: &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second, Control: checkAddress}).DialContext,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: stallTime,
		DisableCompression:    true,
		DisableKeepAlives:     true,
	},
	CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		if first := via[0].URL; req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
			req.Header.Del("api-key") // it is for the first server only
		}
		return nil
	},
}

// download opens a snapshot on another server. Errors tell nothing of what it
// answered but the status.
func download(ctx context.Context, location *url.URL, key string) (io.ReadCloser, error) {
	ctx, end := context.WithCancelCause(ctx)
	cancel := func() { end(nil) }
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
	if err != nil {
		cancel()
		return nil, badRequest("location: it is not a URL")
	}
	if key != "" {
		req.Header.Set("api-key", key)
	}
	res, err := downloads.Do(req)
	if err != nil {
		cancel()
		return nil, badRequest("location: the server cannot be reached: %v", errors.Unwrap(err))
	}
	if res.StatusCode != http.StatusOK {
		cancel()
		return nil, errors.Join(badRequest("location: the server answers with the status %d", res.StatusCode), res.Body.Close())
	}
	d := &downloading{ReadCloser: res.Body, ctx: ctx, cancel: cancel}
	d.stall = time.AfterFunc(stallTime, func() { end(fmt.Errorf("nothing came for %s", stallTime)) })
	return d, nil
}

// downloading is a body that ends when no bytes come.
type downloading struct {
	io.ReadCloser
	ctx    context.Context // of the request; the cause of its end is why it broke off
	cancel func()
	stall  *time.Timer
}

func (d *downloading) Read(p []byte) (int, error) {
	d.stall.Reset(stallTime)
	defer d.stall.Stop()
	n, err := d.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badRequest("location: the download broke off: %v", cmp.Or(context.Cause(d.ctx), err))
	}
	return n, err
}

func (d *downloading) Close() error {
	d.stall.Stop()
	d.cancel()
	return d.ReadCloser.Close()
}
