package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func write(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var out bytes.Buffer
	a := NewWriter(&out)
	for _, e := range entries {
		if err := a.Write(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func read(r io.Reader) (list []Entry, err error) {
	a, err := NewReader(r)
	if err != nil {
		return nil, err
	}
	for {
		e, err := a.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		e.Key, e.Value = slices.Clone(e.Key), slices.Clone(e.Value)
		list = append(list, e)
	}
}

func same(a, b Entry) bool {
	return a.Kind == b.Kind && a.Space == b.Space && a.Count == b.Count && bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Value, b.Value)
}

func samples() []Entry {
	large := make([]byte, 2*blockSize+77)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(large) // never fails
	list := []Entry{{Kind: Collection, Value: []byte(`{"name":"c"}`)}}
	for i := range 3000 {
		list = append(list, Entry{Kind: Record, Space: byte(i), Key: fmt.Append(nil, i), Value: large[:i]})
	}
	return append(list,
		Entry{Kind: Record, Space: 255, Value: large},
		Entry{Kind: CollectionEnd, Count: 1 << 40},
		Entry{Kind: Alias, Key: []byte("a"), Value: []byte("c")})
}

func TestRoundTrip(t *testing.T) {
	for _, entries := range [][]Entry{nil, samples()} {
		file := write(t, entries...)
		for _, r := range []io.Reader{bytes.NewReader(file), iotest.HalfReader(bytes.NewReader(file))} {
			got, err := read(r)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(entries, got, same) {
				t.Fatalf("%d entries became %d, or others", len(entries), len(got))
			}
		}
	}
}

// Every cut and every changed byte of a small file is told.
func TestDamage(t *testing.T) {
	file := write(t, Entry{Kind: Collection, Value: []byte("{}")}, Entry{Kind: Record, Space: 9, Key: []byte("k"), Value: []byte("value")}, Entry{Kind: CollectionEnd, Count: 1})
	for i := range file {
		if _, err := read(bytes.NewReader(file[:i])); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
			t.Errorf("cut at %d: %v", i, err)
		}
		for bit := range 8 {
			changed := slices.Clone(file)
			changed[i] ^= 1 << bit
			if _, err := read(bytes.NewReader(changed)); !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrForeign) {
				t.Errorf("bit %d of byte %d: %v", bit, i, err)
			}
		}
	}
	if _, err := read(bytes.NewReader(append(file, 0))); !errors.Is(err, ErrDamaged) {
		t.Errorf("a byte more: %v", err)
	}
}

// block makes a block with a right checksum of any content.
func block(number uint64, content []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	return append(binary.BigEndian.AppendUint32(b, checksum(number, content)), content...)
}

func TestHostile(t *testing.T) {
	head := write(t)[:headerSize]
	lengths := func(kind ...byte) []byte {
		return binary.AppendUvarint(kind, 1<<62)
	}
	full := bytes.Repeat([]byte{0}, blockSize)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"magic":             {[]byte("SQLite format 3\x00 and more"), "does not begin"},
		"format":            {append([]byte(magic), 0, 0, 0, 2), "format 2"},
		"format 0":          {append([]byte(magic), 0, 0, 0, 0), "format 0"},
		"block length":      {append(slices.Clone(head), 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0), "block 0 has 4294967295 bytes"},
		"collection length": {append(slices.Clone(head), block(0, lengths(byte(Collection)))...), "4611686018427387904 bytes"},
		"key length":        {append(slices.Clone(head), block(0, lengths(byte(Record), 1))...), "4611686018427387904 bytes"},
		"value length":      {append(slices.Clone(head), block(0, lengths(byte(Record), 1, 0))...), "4611686018427387904 bytes"},
		"endless number":    {append(slices.Clone(head), block(0, append([]byte{byte(CollectionEnd)}, bytes.Repeat([]byte{0x80}, 20)...))...), "a number is too large"},
		"kind":              {append(slices.Clone(head), block(0, []byte{77})...), "kind 77"},
		"lying length":      {append(slices.Clone(head), block(0, append([]byte{byte(Collection), 0xff, 0xff, 0xff, 0x7f}, full[5:]...))...), "cut off in block 1"},
		"exchanged blocks":  {slices.Concat(head, block(1, []byte{byte(CollectionEnd), 0}), block(0, []byte{byte(CollectionEnd), 0}), block(2, nil)), "checksum of block 0"},
		"within a number":   {slices.Concat(head, block(0, []byte{byte(CollectionEnd), 0x80}), block(1, nil)), "within an entry"},
		"within an entry":   {slices.Concat(head, block(0, []byte{byte(Alias), 3, 'a'}), block(1, nil)), "within an entry"},
	} {
		_, err := read(bytes.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A fault of what is read from is not taken for damage.
func TestReadError(t *testing.T) {
	file := write(t, samples()...)
	broken := errors.New("the line is dead")
	for _, n := range []int{0, 5, headerSize, headerSize + 3, 100, len(file) - 1, len(file)} {
		r := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken))
		if _, err := read(r); !errors.Is(err, broken) || errors.Is(err, ErrDamaged) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// FuzzReader reads content in blocks with right checksums: whatever is read without
// an error is written again as it was.
func FuzzReader(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{byte(Collection), 2, '{', '}', byte(Record), 16, 1, 'k', 1, 'v', byte(CollectionEnd), 1, byte(Alias), 1, 'a', 1, 'c'})
	f.Add([]byte{byte(Record), 16, 0x80, 0x80, 0x04, 1})
	f.Add([]byte{byte(CollectionEnd), 0x80}) // ends within a number
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > blockSize {
			return
		}
		file := write(t)[:headerSize]
		number := uint64(0)
		if len(content) > 0 {
			file = append(file, block(0, content)...)
			number++
		}
		entries, err := read(bytes.NewReader(append(file, block(number, nil)...)))
		if err != nil {
			if !errors.Is(err, ErrDamaged) {
				t.Fatal(err)
			}
			return
		}
		again, err := read(bytes.NewReader(write(t, entries...)))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(entries, again, same) {
			t.Fatalf("%v became %v", entries, again)
		}
	})
}
