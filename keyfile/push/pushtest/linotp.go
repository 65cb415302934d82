package pushtest

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
)

// NewLinOTP starts a LinOTP; old is version 2, which knows sessions and HTTP Basic only.
func NewLinOTP(t testing.TB, old bool) *Double {
	mux := http.NewServeMux()
	d := start(t, mux)
	signed := d.loJWT
	if old {
		signed = d.loSession
		mux.HandleFunc("/admin/getsession", d.loGetSession)
	} else {
		mux.HandleFunc("POST /admin/login", d.loLogin)
	}
	mux.HandleFunc("POST /admin/init", signed(d.loInit))
	mux.HandleFunc("POST /admin/show", signed(d.loShow))
	mux.HandleFunc("POST /admin/disable", signed(func(w http.ResponseWriter, p url.Values) { d.loSwitch(w, p, false) }))
	mux.HandleFunc("POST /admin/enable", signed(func(w http.ResponseWriter, p url.Values) { d.loSwitch(w, p, true) }))
	return d
}

func loValue(w http.ResponseWriter, value any) {
	reply(w, http.StatusOK, map[string]any{"version": "LinOTP 3.4", "jsonrpc": "2.0802", "id": 1, "result": map[string]any{"status": true, "value": value}})
}

// loError answers with status 200, as LinOTP does.
func loError(w http.ResponseWriter, code int, message string) {
	reply(w, http.StatusOK, map[string]any{"version": "LinOTP 3.4", "jsonrpc": "2.0802", "id": 1,
		"result": map[string]any{"status": false, "error": map[string]any{"code": code, "message": message}}})
}

func (d *Double) loLogin(w http.ResponseWriter, r *http.Request) {
	p := form(r)
	if p.Get("username") != Account || p.Get("password") != Password {
		reply(w, http.StatusUnauthorized, map[string]any{"msg": "Bad username or password"})
		return
	}
	access := d.give("jwt.access.")
	http.SetCookie(w, &http.Cookie{Name: "access_token_cookie", Value: access, HttpOnly: true, Secure: true, Path: "/"})
	http.SetCookie(w, &http.Cookie{Name: "csrf_access_token", Value: "csrf-" + access, Secure: true, Path: "/"})
	loValue(w, true)
}

func (d *Double) loJWT(next func(http.ResponseWriter, url.Values)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("access_token_cookie")
		if err != nil || !d.isValid(c.Value) || r.Header.Get("X-CSRF-TOKEN") != "csrf-"+c.Value {
			reply(w, http.StatusUnauthorized, map[string]any{"msg": "Missing or bad token"})
			return
		}
		next(w, form(r))
	}
}

func (d *Double) loGetSession(w http.ResponseWriter, r *http.Request) {
	if u, p, ok := r.BasicAuth(); !ok || u != Account || p != Password {
		w.Header().Set("WWW-Authenticate", `Basic realm="LinOTP2 admin area"`)
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	}
	http.SetCookie(w, &http.Cookie{Name: "admin_session", Value: d.give("session-")})
	loValue(w, true)
}

func (d *Double) loSession(next func(http.ResponseWriter, url.Values)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		c, err := r.Cookie("admin_session")
		f := form(r)
		if u != Account || p != Password || err != nil || !d.isValid(c.Value) || f.Get("session") != c.Value {
			http.Error(w, "No valid session", http.StatusUnauthorized)
			return
		}
		next(w, f)
	}
}

func (d *Double) loInit(w http.ResponseWriter, p url.Values) {
	serial, kind := p.Get("serial"), strings.ToLower(p.Get("type"))
	key, err := hex.DecodeString(p.Get("otpkey"))
	d.Lock()
	defer d.Unlock()
	t := d.Tokens[serial]
	switch {
	case p == nil || p.Get("otpkey") == "":
		loError(w, 905, "Missing parameter: 'otpkey'")
	case err != nil:
		loError(w, -310, "otpkey "+p.Get("otpkey")+": non-hexadecimal number found")
	case serial == "" || len(serial) > 40:
		loError(w, -311, "serial")
	case kind != "hmac" && kind != "totp" && kind != "yubikey":
		loError(w, 1610, "unknown token type "+kind)
	case kind == "yubikey" && len(key) != 16:
		loError(w, -310, "the otpkey of a yubikey has 16 bytes")
	case p.Get("user") != "" && (!d.Users[p.Get("user")] || p.Get("realm") != Realm):
		loError(w, 1205, "getUserResolverId failed: the user >"+p.Get("user")+"< was not found")
	case t != nil && t.Type != kind:
		loError(w, -311, "token type mismatch")
	default:
		if t == nil {
			t = &Token{Active: true}
			d.Tokens[serial] = t
		}
		params := map[string]string{}
		for k := range p {
			params[k] = p.Get(k)
		}
		t.Type, t.Key, t.User, t.Params, t.Made = kind, key, p.Get("user"), params, t.Made+1
		loValue(w, true)
	}
}

func (d *Double) loShow(w http.ResponseWriter, p url.Values) {
	d.Lock()
	defer d.Unlock()
	data := []any{}
	for serial, t := range d.Tokens {
		if serial != p.Get("serial") {
			continue
		}
		digits, _ := strconv.Atoi(t.Params["otplen"])
		info, _ := json.Marshal(map[string]string{"hashlib": t.Params["hashlib"], "timeStep": t.Params["timeStep"]})
		row := map[string]any{"LinOtp.TokenSerialnumber": serial, "LinOtp.TokenType": strings.ToUpper(t.Type), "LinOtp.Isactive": t.Active,
			"LinOtp.OtpLen": digits, "LinOtp.TokenInfo": string(info), "LinOtp.TokenDesc": t.Params["description"], "User.username": t.User}
		if t.Type == "yubikey" {
			row["LinOtp.TokenInfo"] = ""
		}
		data = append(data, row)
	}
	loValue(w, map[string]any{"resultset": map[string]any{"tokens": len(data), "page": 1, "pages": 1}, "data": data})
}

func (d *Double) loSwitch(w http.ResponseWriter, p url.Values, on bool) {
	d.Lock()
	defer d.Unlock()
	n := 0
	if t := d.Tokens[p.Get("serial")]; t != nil && t.Active != on {
		t.Active, n = on, 1
	}
	loValue(w, n)
}
