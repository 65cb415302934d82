package usbhid

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"testing"
	"testing/fstest"
	"time"
)

// TestWatch shows one tree per tick to Watch and compares the events.
func TestWatch(t *testing.T) {
	t.Parallel()
	type keys = map[string]map[string]string
	for _, test := range []struct {
		name  string
		trees []keys
		want  []string
	}{
		{"already attached, in order", []keys{{"1-2": nil, "1-1": nil}}, []string{"0:+1-1/2", "0:+1-2/2"}},
		{"arrival and removal", []keys{{}, {"1-1": nil}, {"1-1": nil}, {}}, []string{"1:+1-1/2", "3:-1-1/2"}},
		{"pulled and plugged between two ticks", []keys{{"1-1": nil}, {"1-1": {"devnum": "3"}}}, []string{"0:+1-1/2", "1:-1-1/2", "1:+1-1/3"}},
		{"announced when the driver is bound", []keys{{"1-1": unbound(nil)}, {"1-1": nil}}, []string{"1:+1-1/2"}},
		{"announced without driver at second sight", []keys{{"1-1": unbound(nil)}, {"1-1": unbound(nil)}, {"1-1": nil}}, []string{"1:+1-1/2"}},
		{"gone before it was announced", []keys{{"1-1": unbound(nil)}, {}, {"1-1": unbound(nil)}}, nil},
		{"FIDO only is announced at once", []keys{{"1-1": {"idProduct": "0402"}}}, []string{"0:+1-1/2"}},
		{"nodes that get other numbers are the same key", []keys{{"1-1": nil}, {"1-1": unbound(map[string]string{
			":1.0/uevent": "DEVTYPE=usb_interface\nINTERFACE=3/1/1\nDRIVER=usbfs"})}, {"1-1": {
			":1.0/0003:1050:0407.0001/hidraw/hidraw3/uevent": "", ":1.0/0003:1050:0407.0009/hidraw/hidraw11/uevent": "DEVNAME=hidraw11"}}}, []string{"0:+1-1/2"}},
		{"no USB yet", []keys{nil, {"1-1": nil}}, []string{"1:+1-1/2"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			step := -1
			sys := &stepFS{next: func() fs.FS {
				step++
				return sysTree(test.trees[step])
			}}
			var got []string
			for e, err := range Watch(t.Context(), finding(sys), ticks(len(test.trees)-1)) {
				if err != nil {
					t.Fatal(err)
				}
				sign := map[bool]string{true: "+", false: "-"}[e.Arrived]
				got = append(got, fmt.Sprintf("%d:%s%s/%d", step, sign, e.Key.Path, e.Key.Address))
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func finding(sys fs.FS) func() ([]Attached, error) {
	return func() ([]Attached, error) { return Find(sys) }
}

func TestWatchEndsWithContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range Watch(ctx, finding(sysTree(map[string]map[string]string{"1-1": nil})), nil) {
		cancel()
	}
}

func TestWatchYieldsErrorAndEnds(t *testing.T) {
	t.Parallel()
	sys := fstest.MapFS{"bus/usb/devices": &fstest.MapFile{}} // a file, not a directory
	var errs []error
	for _, err := range Watch(t.Context(), finding(sys), ticks(3)) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || errs[0] == nil {
		t.Errorf("got %v, want one error", errs)
	}
}

// stepFS turns to the next tree whenever the list of devices is read.
type stepFS struct {
	fs.FS
	next func() fs.FS
}

func (s *stepFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if name == devicesDir {
		s.FS = s.next()
	}
	return fs.ReadDir(s.FS, name)
}

func sysTree(keys map[string]map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	if keys != nil {
		tree["bus/usb/devices"] = &fstest.MapFile{Mode: fs.ModeDir}
	}
	for path, attributes := range keys {
		sysKey(tree, path, attributes)
	}
	return tree
}

// ticks is a ticker that has ticked n times and is then closed.
func ticks(n int) <-chan time.Time {
	c := make(chan time.Time, n)
	for range n {
		c <- time.Time{}
	}
	close(c)
	return c
}
