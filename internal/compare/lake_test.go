package compare

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/parquet-go/parquet-go"

	"github.com/weir-cdc/weir/deploy/local/servers"
)

// change is a row of a lake's file, as another writer would make it.
type change struct {
	A         int32  `parquet:"a"`
	B         string `parquet:"b"`
	Value     *int32 `parquet:"value,optional"`
	Deleted   bool   `parquet:"__deleted"`
	Version   *int64 `parquet:"__version,optional"`
	Topic     string `parquet:"__topic"`
	Partition int32  `parquet:"__partition"`
	Offset    int64  `parquet:"__offset"`
}

func changeOf(a int32, b string, value int32, version, offset int64) change {
	return change{A: a, B: b, Value: &value, Version: &version, Topic: "shop.pairs", Offset: offset}
}

// fileOf is a Parquet file of changes.
func fileOf(t *testing.T, changes ...change) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := parquet.Write(&out, changes); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestTheNewestRowOfAKeyCounts(t *testing.T) {
	table, _ := pairs(t)
	gone := changeOf(3, "gone", 0, 60, 7)
	gone.Value, gone.Deleted = nil, true
	again := changeOf(1, "a|b", 0, 41, 8)
	again.Deleted = true
	first := []change{changeOf(1, "a|b", 9, 40, 0), changeOf(2, `c\d`, 20, 50, 1), changeOf(3, "gone", 30, 55, 2)}
	second := []change{changeOf(1, "a|b", 10, 42, 3), gone, again, changeOf(2, `c\d`, 19, 49, 4)}
	for name, files := range map[string][][]byte{
		"in order": {fileOf(t, first...), fileOf(t, second...)},
		"reversed": {fileOf(t, second...), fileOf(t, first...)},
	} {
		t.Run(name, func(t *testing.T) {
			directory := t.TempDir()
			for i, file := range files {
				write(t, directory, fmt.Sprintf("topics/pairs/2026/%d.snappy.parquet", i), file)
			}
			write(t, directory, "topics/pairs/2026/.unfinished", []byte("x"))
			write(t, directory, "topics/pairs_of_others/0.snappy.parquet", fileOf(t, changeOf(9, "x", 9, 1, 0)))
			rows := &Lake{Store: Directory(directory), Dir: "topics", Topic: "pairs", Table: table}
			equal(t, compared(t, table, "lake", rows, Options{}), 2)
			onOne(t, table.db, "UPDATE "+table.from()+" SET value = 11 WHERE a = 1")
			wantDifference(t, compared(t, table, "lake", rows, Options{}), "1|a|b: value is 11 in the table and 10 in lake")
			onOne(t, table.db, "UPDATE "+table.from()+" SET value = 10 WHERE a = 1")
		})
	}
}

func write(t *testing.T, directory, name string, content []byte) {
	t.Helper()
	path := filepath.Join(directory, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLakeWithoutVersionsIsOrderedByOffset(t *testing.T) {
	table, _ := pairs(t)
	old, now := changeOf(1, "a|b", 9, 0, 0), changeOf(1, "a|b", 10, 0, 2)
	old.Version, now.Version = nil, nil
	directory := t.TempDir()
	write(t, directory, "pairs/0.parquet", fileOf(t, now, old, changeOf(2, `c\d`, 20, 0, 1)))
	equal(t, compared(t, table, "lake", &Lake{Store: Directory(directory), Topic: "pairs", Table: table}, Options{}), 2)
}

func TestLakeInABucket(t *testing.T) {
	table, _ := pairs(t)
	store := servers.S3(t)
	bucket := Bucket{Client: store.Client(), Name: store.Bucket(t)}
	rows := &Lake{Store: bucket, Dir: "topics", Topic: "pairs", Table: table}
	if r := compared(t, table, "lake", rows, Options{}); r.Missing != 2 || !strings.Contains(r.Examples[0], "no such target") {
		t.Errorf("%+v", *r)
	}
	key := "topics/pairs/2026/11/22/12/pairs+0+0000000000+abcdef01.snappy.parquet"
	_, err := bucket.Client.PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: &bucket.Name, Key: &key, Body: bytes.NewReader(fileOf(t, changeOf(1, "a|b", 10, 1, 0), changeOf(2, `c\d`, 20, 2, 1))),
	})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, compared(t, table, "lake", rows, Options{}), 2)
}

func TestFilesThatCannotBeCompared(t *testing.T) {
	table, _ := pairs(t)
	var bare bytes.Buffer
	if err := parquet.Write(&bare, []struct{ A int32 }{{1}}); err != nil {
		t.Fatal(err)
	}
	for want, content := range map[string][]byte{"column __deleted": bare.Bytes(), "magic": []byte("no Parquet at all")} {
		directory := t.TempDir()
		write(t, directory, "pairs/0.parquet", content)
		_, err := Run(t.Context(), table, "lake", &Lake{Store: Directory(directory), Topic: "pairs", Table: table}, Options{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "pairs/0.parquet") {
			t.Errorf("%s: %v", want, err)
		}
	}
}
