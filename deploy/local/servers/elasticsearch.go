package servers

import (
	"archive/zip"
	"context"
	_ "embed" // the stand-in plugin's source
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

const elasticsearchVersion = "8.19.21"

// compilerVersion is the Eclipse compiler, which runs on a Java runtime without a development kit.
const compilerVersion = "3.33.0"

// rootPlugin gives back GET /, which the small distribution leaves out.
//
//go:embed RootPlugin.java
var rootPlugin string

// elasticsearchServer is a fetched Elasticsearch and the Java that runs it.
type elasticsearchServer struct{ java, home string }

// elasticsearchRecipe runs one node without security. Ports: HTTP, transport.
func elasticsearchRecipe(l *Local) recipe {
	var server elasticsearchServer
	return recipe{
		fetch: func(ctx context.Context) (err error) {
			server, err = l.elasticsearch(ctx)
			return err
		},
		command: func(ctx context.Context, n *node) (*exec.Cmd, error) { return server.cmd(ctx, n) },
		probe:   probeElasticsearch,
		pidFile: "elasticsearch.pid",
	}
}

// elasticsearch fetches the distribution that Elastic publishes for integration tests: the real server with few
// modules.
func (l *Local) elasticsearch(ctx context.Context) (server elasticsearchServer, err error) {
	name := "elasticsearch-" + elasticsearchVersion
	folder, err := l.fetchOnce(ctx, name, "Elasticsearch with Maven", func(ctx context.Context, dir string) error {
		artifact := "org.elasticsearch.distribution.integ-test-zip:elasticsearch:" + elasticsearchVersion + ":zip"
		if err := l.mavenCopy(ctx, artifact, dir); err != nil {
			return err
		}
		archive := filepath.Join(dir, name+".zip")
		if err := unzip(archive, dir); err != nil {
			return err
		}
		if err := os.Remove(archive); err != nil {
			return err
		}
		return l.addRootPlugin(ctx, filepath.Join(dir, name))
	})
	if err != nil {
		return server, err
	}
	server.home = filepath.Join(folder, name)
	server.java, err = l.java(ctx)
	return server, err
}

// addRootPlugin compiles the stand-in for GET / into a module of the installation in home.
func (l *Local) addRootPlugin(ctx context.Context, home string) error {
	module := filepath.Join(home, "modules", "weir-root")
	if err := makeFolder(module); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(home), "plugin")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	source := filepath.Join(work, "RootPlugin.java")
	if err := os.WriteFile(source, []byte(rootPlugin), 0o644); err != nil {
		return err
	}
	java, err := l.java(ctx)
	if err != nil {
		return err
	}
	if err := l.mavenCopy(ctx, "org.eclipse.jdt:ecj:"+compilerVersion, work); err != nil {
		return err
	}
	classes := filepath.Join(work, "classes")
	libraries, err := filepath.Glob(filepath.Join(home, "lib", "*.jar"))
	if err != nil {
		return err
	}
	err = run(exec.CommandContext(ctx, java, "-jar", filepath.Join(work, "ecj-"+compilerVersion+".jar"), "-17", "-nowarn",
		"-proc:none", "-d", classes, "-cp", strings.Join(libraries, ":"), source))
	if err != nil {
		return fmt.Errorf("compiling %s: %w", source, err)
	}
	if err := zipFolder(classes, filepath.Join(module, "weir-root.jar")); err != nil {
		return err
	}
	descriptor := "description=GET / for the integration test distribution\nname=weir-root\nversion=" + elasticsearchVersion +
		"\njava.version=17\nelasticsearch.version=" + elasticsearchVersion + "\nclassname=weir.root.RootPlugin\n"
	return os.WriteFile(filepath.Join(module, "plugin-descriptor.properties"), []byte(descriptor), 0o644)
}

// elasticsearchYAML configures a node; %[1]s is its folder, %[2]d and %[3]d are its ports.
const elasticsearchYAML = `cluster.name: weir
node.name: weir
path.data: %[1]s/data
path.logs: %[1]s/logs
network.host: 127.0.0.1
http.port: %[2]d
transport.port: %[3]d
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
cluster.max_shards_per_node: 20000
xpack.security.enabled: false
`

// cmd writes the configuration and returns the launcher's command, which ends when the node has started.
func (s elasticsearchServer) cmd(ctx context.Context, n *node) (*exec.Cmd, error) {
	for _, folder := range []string{"conf", "data", "logs", "tmp"} {
		if err := makeFolder(n.path(folder)); err != nil {
			return nil, err
		}
	}
	if err := s.configure(n); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(s.home, "bin", "elasticsearch"), "-d", "-p", n.path("elasticsearch.pid"))
	cmd.Dir = n.dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + n.dir, "ES_JAVA_HOME=" + filepath.Dir(filepath.Dir(s.java)),
		"ES_PATH_CONF=" + n.path("conf"), "ES_TMPDIR=" + n.path("tmp"), "ES_JAVA_OPTS=" + javaOptions(n),
	}
	if os.Getuid() != 0 {
		return cmd, nil
	}
	if !enterable(n.dir) || !enterable(s.home) {
		return nil, fmt.Errorf("starting as another user than root: %s and %s must be open to others; set WEIR_CACHE to a folder that is, such as /var/cache/weir", s.home, n.dir)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: unprivileged, Gid: unprivileged}}
	return cmd, giveAway(n.dir)
}

// javaOptions are small; a node for one test lives too short to gain from the
// compiler that takes its time.
func javaOptions(n *node) string {
	const heap = "-Xms512m -Xmx512m"
	if private := n.preferred[0] == 0; private {
		return heap + " -XX:TieredStopAtLevel=1"
	}
	return heap
}

// configure writes the node's configuration folder: the distribution's own, without garbage collection logs and heap
// dumps, and our elasticsearch.yml.
func (s elasticsearchServer) configure(n *node) error {
	for _, name := range []string{"jvm.options", "log4j2.properties"} {
		text, err := os.ReadFile(filepath.Join(s.home, "config", name))
		if err != nil {
			return err
		}
		var kept []string
		for line := range strings.SplitSeq(string(text), "\n") {
			if !strings.HasPrefix(line, "-Xlog:gc") && !strings.Contains(line, "HeapDumpOnOutOfMemoryError") {
				kept = append(kept, line)
			}
		}
		if err := os.WriteFile(n.path("conf", name), []byte(strings.Join(kept, "\n")), 0o644); err != nil {
			return err
		}
	}
	text := fmt.Sprintf(elasticsearchYAML, n.dir, n.ports[0], n.ports[1]) + strings.Join(n.args, "\n") + "\n"
	return os.WriteFile(n.path("conf", "elasticsearch.yml"), []byte(text), 0o644)
}

// giveAway makes the unprivileged user own everything in dir.
func giveAway(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, unprivileged, unprivileged)
	})
}

// probeElasticsearch returns nil when the node's cluster has a state to serve.
func probeElasticsearch(ctx context.Context, n *node) error {
	url := "http://" + address(n.ports[0]) + "/_cluster/health?wait_for_status=yellow&timeout=4s"
	return probeHTTP(ctx, url)
}

// probeHTTP returns nil when a GET of url answers 200.
func probeHTTP(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", url, response.Status)
	}
	return nil
}

// unzip unpacks an archive into dir, keeping the files' modes.
func unzip(archive, dir string) error {
	reader, err := zip.OpenReader(archive)
	if err != nil {
		return err
	}
	defer func() { _ = reader.Close() }()
	for _, file := range reader.File {
		if err := unzipFile(file, dir); err != nil {
			return fmt.Errorf("unpacking %s: %w", file.Name, err)
		}
	}
	return nil
}

func unzipFile(file *zip.File, dir string) error {
	if !filepath.IsLocal(file.Name) {
		return fmt.Errorf("the name leaves the folder")
	}
	path := filepath.Join(dir, file.Name)
	if file.FileInfo().IsDir() {
		return makeFolder(path)
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	from, err := file.Open()
	if err != nil {
		return err
	}
	defer func() { _ = from.Close() }()
	mode := os.FileMode(0o644)
	if strings.Contains(file.Name, "/bin/") {
		mode = 0o755
	}
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		_ = to.Close()
		return err
	}
	return to.Close()
}

// zipFolder packs everything below dir into an archive, such as a jar.
func zipFolder(dir, archive string) error {
	file, err := os.Create(archive)
	if err != nil {
		return err
	}
	writer := zip.NewWriter(file)
	if err := writer.AddFS(os.DirFS(dir)); err != nil {
		_ = file.Close()
		return err
	}
	if err := writer.Close(); err != nil {
		_ = file.Close()
		return err
	}
	return file.Close()
}
