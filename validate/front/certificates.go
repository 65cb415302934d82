package front

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"time"
)

// expiring is how long before its end a certificate is warned of, once a day.
const expiring = 14 * 24 * time.Hour

// Files hold what TLS needs, as PEM.
type Files struct {
	Cert, Key string // chain and private key of the server
	ClientCA  string // who certifies clients; "": nobody is asked for a certificate
}

// Certificates keep TLS as it is in files that are replaced while the server runs. Connections that are open do not notice.
type Certificates struct {
	files Files
	now   func() time.Time
	log   *slog.Logger

	config atomic.Pointer[tls.Config]
	leaf   *x509.Certificate // of config
	held   digest            // of what config was made of
	seen   digest            // at the last look
	told   digest            // of what was refused last
	warned time.Time         // of the leaf's end
}

// digest tells contents of the files apart.
type digest [sha256.Size]byte

// LoadCertificates reads the files.
func LoadCertificates(files Files, now func() time.Time, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{files: files, now: now, log: log}
	m, err := c.read()
	if err != nil {
		return nil, err
	}
	if err := c.use(m); err != nil {
		return nil, err
	}
	return c, nil
}

// Config is for listeners. TLS 1.2 is the least; a client certificate is not demanded, but must be right if there is one: it is then in
// Request.TLS.VerifiedChains.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.config.Load(), nil },
	}
}

// Ends is when the certificate in use does.
func (c *Certificates) Ends() time.Time { return c.config.Load().Certificates[0].Leaf.NotAfter }

// Watch looks at the files with each tick, and with each hangup, until ctx ends. What it sees for the second time in a row is taken: a
// file may be half written and the key newer than the certificate for a moment. After a hangup it is taken at once.
func (c *Certificates) Watch(ctx context.Context, ticks <-chan time.Time, hangups <-chan os.Signal) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticks:
			c.look(false)
		case <-hangups:
			c.look(true)
		}
	}
}

// look takes what is new, if it is sound, and otherwise keeps what there is and says so once.
func (c *Certificates) look(atOnce bool) {
	m, err := c.read()
	steady := m.digest == c.seen
	c.seen = m.digest
	switch {
	case err == nil && m.digest == c.held:
		if atOnce {
			c.log.Info("the TLS certificate is unchanged", "until", c.leaf.NotAfter)
		}
	case !steady && !atOnce:
		return
	default:
		if err == nil {
			err = c.use(m)
		}
		if err == nil {
			c.told = digest{}
			c.log.Info("the TLS certificate was replaced", "names", c.leaf.DNSNames, "until", c.leaf.NotAfter)
		} else if c.told != m.digest || atOnce {
			c.told = m.digest
			c.log.Error("the TLS certificate cannot be replaced; the former one is used on", "error", err)
		}
	}
	c.warn()
}

// material is the contents of the files.
type material struct {
	cert, key, ca []byte
	digest        digest
}

// read reads all files. The digest tells failures apart too.
func (c *Certificates) read() (m material, err error) {
	hash := sha256.New()
	for _, f := range []struct {
		path string
		to   *[]byte
	}{{c.files.Cert, &m.cert}, {c.files.Key, &m.key}, {c.files.ClientCA, &m.ca}} {
		if f.path == "" {
			continue
		}
		text, failed := os.ReadFile(f.path)
		if failed != nil {
			err = errors.Join(err, failed)
			text = []byte(failed.Error())
		}
		*f.to = text
		fmt.Fprintf(hash, "%d:", len(text))
		hash.Write(text)
	}
	hash.Sum(m.digest[:0])
	return m, err
}

// use makes the configuration, or says what is wrong with the files.
func (c *Certificates) use(m material) error {
	pair, err := tls.X509KeyPair(m.cert, m.key)
	if err != nil {
		return fmt.Errorf("%s, %s: %w", c.files.Cert, c.files.Key, err)
	}
	if cut(m.cert) {
		return fmt.Errorf("%s ends within a certificate", c.files.Cert)
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if c.files.ClientCA != "" {
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.VerifyClientCertIfGiven
		if !config.ClientCAs.AppendCertsFromPEM(m.ca) || cut(m.ca) {
			return fmt.Errorf("%s holds no certificates, or ends within one", c.files.ClientCA)
		}
	}
	c.leaf, c.held, c.seen, c.warned = pair.Leaf, m.digest, m.digest, time.Time{}
	c.config.Store(config)
	c.warn()
	return nil
}

// cut reports whether PEM ends within a block.
func cut(text []byte) bool {
	for {
		block, rest := pem.Decode(text)
		if block == nil {
			return bytes.Contains(rest, []byte("-----BEGIN "))
		}
		text = rest
	}
}

// warn tells once a day that the certificate ends, has ended or does not count yet.
func (c *Certificates) warn() {
	now := c.now()
	if !c.warned.IsZero() && now.Sub(c.warned).Abs() < 24*time.Hour {
		return
	}
	text := ""
	switch {
	case now.After(c.leaf.NotAfter):
		text = "the TLS certificate has ended: clients refuse it"
	case now.Before(c.leaf.NotBefore):
		text = "the TLS certificate is not valid yet: clients refuse it"
	case c.leaf.NotAfter.Sub(now) < expiring:
		text = "the TLS certificate ends soon"
	default:
		return
	}
	c.warned = now
	c.log.Warn(text, "file", c.files.Cert, "from", c.leaf.NotBefore, "until", c.leaf.NotAfter)
}
