package memory

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/weir-cdc/weir/deploy/local/faults"
	"github.com/weir-cdc/weir/deploy/local/servers"
)

// bounded sets the properties that bound memory, in MiB.
func bounded(properties map[string]string, ahead, open int) map[string]string {
	properties["errors.retry.delay.max.ms"] = "300"
	properties["fetch.buffer.bytes"] = strconv.Itoa(ahead << 20)
	if open > 0 {
		properties["max.buffered.bytes"] = strconv.Itoa(open << 20)
	}
	return properties
}

// size is the small or the full measure.
func size(small, large int) int {
	if full {
		return large
	}
	return small
}

// TestManyOpenFiles: partitions and hours without end, all open at once.
func TestManyOpenFiles(t *testing.T) {
	s := newStage(t)
	partitions, records := int32(size(200, 500)), size(60, 1200)
	ahead, open := size(16, 64), size(32, 128)
	s.create(partitions)
	s.fill(partitions, records, 630, 6)
	store := servers.S3(t)
	c := s.start("weir-lake", bounded(lakeAt(store, store.Bucket(t)), ahead, open))
	s.until(c, "weir_sink_records_total", float64(int(partitions)*records))
	if all, err := c.Metrics(t.Context()); err != nil || all["weir_lake_files_total"] == 0 {
		t.Errorf("%.0f files had to end early, %v: the load is too small to show anything", all["weir_lake_files_total"], err)
	}
	s.within(c, ahead, open)
}

// TestLargeRowsAndATargetThatIsDown: rows of 1 MiB, and a target that refuses
// everything while they come, and later takes them all.
func TestLargeRowsAndATargetThatIsDown(t *testing.T) {
	sinks := []struct {
		binary string
		// begin starts what stands before the target and returns the properties to
		// reach it and how to open it.
		begin func(t *testing.T) (properties map[string]string, open func())
	}{
		{"weir-redis", redisBehindAProxy}, {"weir-elasticsearch", elasticsearchBehindAProxy},
	}
	for _, sink := range sinks {
		t.Run(sink.binary, func(t *testing.T) {
			s := newStage(t)
			partitions, records, ahead := int32(size(30, 500)), size(4, 4), 16
			s.create(partitions)
			s.fill(partitions, records, 1_000_000, 6)
			properties, open := sink.begin(t)
			c := s.start(sink.binary, bounded(properties, ahead, 0))
			s.still(c, "weir_sink_buffered_bytes")
			if all, err := c.Metrics(t.Context()); err != nil || all["weir_sink_records_total"] > float64(partitions) {
				t.Errorf("%.0f records were taken by a target that is down, %v", all["weir_sink_records_total"], err)
			}
			s.within(c, ahead, 0)
			open()
			s.until(c, "weir_sink_records_total", float64(int(partitions)*records))
			s.within(c, ahead, 0)
		})
	}
}

// closed refuses every request whose path ends so, until open is called.
func closed(t *testing.T, target, end string) (proxy *faults.HTTP, open func()) {
	var up atomic.Bool
	proxy = faults.NewHTTP(target, func(r *faults.Request) faults.Fault {
		if up.Load() || !strings.HasSuffix(r.URL.Path, end) {
			return faults.Fault{}
		}
		return faults.Fault{Do: faults.Refuse}
	})
	t.Cleanup(proxy.Close)
	return proxy, func() { up.Store(true) }
}

func elasticsearchBehindAProxy(t *testing.T) (map[string]string, func()) {
	server := servers.Elasticsearch(t)
	proxy, open := closed(t, server, "_bulk") // before it reads, it asks which indexes are live
	index := strings.ToLower(servers.Unique(t, "memory"))
	t.Cleanup(func() { removeIndex(t, server, index) })
	return map[string]string{
		"connection.url": proxy.URL, "topics": topic, "index.number_of_replicas": "0", "transforms": "route",
		"transforms.route.type": "org.apache.kafka.connect.transforms.RegexRouter", "transforms.route.regex": ".*", "transforms.route.replacement": index,
	}, open
}

func redisBehindAProxy(t *testing.T) (map[string]string, func()) {
	address, prefix := servers.Redis(t), servers.Unique(t, "memory")+":"
	proxy := faults.NewTCP(address)
	proxy.Refuse(true)
	t.Cleanup(proxy.Close)
	t.Cleanup(func() { removeKeys(t, address, prefix) })
	return map[string]string{"redis.hosts": proxy.Addr, "topics": topic, "cache.prefix": prefix}, func() { proxy.Refuse(false) }
}

// removeIndex removes the index of a name in the shared server.
func removeIndex(t *testing.T, server, name string) {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodDelete, server+"/"+name+"-g1", nil)
	must(t, err)
	response, err := http.DefaultClient.Do(request)
	must(t, err)
	_ = response.Body.Close() // it may never have been made
}

// removeKeys removes the keys with a prefix in the shared server.
func removeKeys(t *testing.T, address, prefix string) {
	client := redis.NewClient(&redis.Options{Addr: address})
	defer func() { _ = client.Close() }()
	keys := client.Scan(context.Background(), 0, prefix+"*", 1000).Iterator()
	for keys.Next(context.Background()) {
		must(t, client.Del(context.Background(), keys.Val()).Err())
	}
	must(t, keys.Err())
}
