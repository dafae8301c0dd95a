package mysql

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// fileReader reads the events of a log file without a server.
type fileReader struct {
	file *os.File
	in   *bufio.Reader
	raw  []byte
}

// The first bytes of a log file, and of one that is encrypted (MySQL).
const (
	fileMagic      = "\xfebin"
	encryptedMagic = "\xfdbin"
)

// openFile opens a log file at its first event.
func openFile(name string) (*fileReader, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening log file: %w", err)
	}
	r := &fileReader{file: f, in: bufio.NewReaderSize(f, 1<<20)}
	var magic [fileHeaderSize]byte
	if _, err = io.ReadFull(r.in, magic[:]); err == nil && string(magic[:]) != fileMagic {
		err = errors.New("it is no log file")
		if string(magic[:]) == encryptedMagic {
			err = errors.New("it is encrypted and can only be read through the server")
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("opening log file %s: %w", name, err)
	}
	return r, nil
}

// next returns the next event, valid until the next call, or io.EOF.
func (r *fileReader) next() ([]byte, error) {
	head, err := readExactly(r.raw[:0], r.in, eventHeaderSize)
	r.raw = head
	if errors.Is(err, io.EOF) && len(head) == 0 {
		return nil, io.EOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading log file: %w", err)
	}
	size, err := eventSize(head)
	if err != nil {
		return nil, err
	}
	if r.raw, err = readExactly(head, r.in, size-eventHeaderSize); err != nil {
		return nil, fmt.Errorf("reading log file: %w", err)
	}
	return r.raw, nil
}

func (r *fileReader) close() error { return r.file.Close() }
