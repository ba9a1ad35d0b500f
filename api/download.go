package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
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
var errAddress = errors.New("the address is link-local, multicast or unspecified")

// checkAddress refuses addresses at which clouds tell machines their secrets, and
// those of no machine. It sees what names were resolved to.
func checkAddress(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	ip := at.Addr().Unmap()
	if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified() {
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
	ctx, cancel := context.WithCancel(ctx)
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
	d := &downloading{ReadCloser: res.Body, cancel: cancel}
	d.stall = time.AfterFunc(stallTime, cancel)
	return d, nil
}

// downloading is a body that ends when no bytes come.
type downloading struct {
	io.ReadCloser
	cancel context.CancelFunc
	stall  *time.Timer
}

func (d *downloading) Read(p []byte) (int, error) {
	d.stall.Reset(stallTime)
	defer d.stall.Stop()
	n, err := d.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = badRequest("location: the download broke off: %v", err)
	}
	return n, err
}

func (d *downloading) Close() error {
	d.stall.Stop()
	d.cancel()
	return d.ReadCloser.Close()
}
