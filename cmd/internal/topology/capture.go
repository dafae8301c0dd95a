package topology

import (
	"regexp"
	"slices"
	"strings"

	"github.com/weir-cdc/weir/internal/config"
)

// Table is a captured table that a configuration names.
type Table struct {
	Database, Name string
	Topic          string // before the transforms
}

// ID is database.table.
func (t *Table) ID() string { return t.Database + "." + t.Name }

// Capture is what a capture writes, as far as its configuration says.
type Capture struct {
	Prefix string
	Tables []Table
	// Complete says that Tables are all there can be: the lists name tables, and
	// hold no expressions.
	Complete bool
	Routes   *Routes
	names    Naming
}

// Naming says how a capture names topics, and which tables it captures.
type Naming struct {
	Topic    func(prefix, database, table string) string
	Captures func(database, table string) bool
}

// literal is an entry of table.include.list that names one table; the dot is
// taken for one, escaped or not.
var literal = regexp.MustCompile(`^([\w$-]+)(?:\\?\.|\[\.\])([\w$-]+)$`)

// NewCapture reads a capture's configuration, which has the lists, topic.prefix
// and the properties of a chain.
func NewCapture(v *config.Values, names Naming) *Capture {
	c := &Capture{Prefix: v.String("topic.prefix"), Routes: NewRoutes(v), names: names}
	items := v.Regexes("table.include.list")
	c.Complete = len(items) > 0
	for _, item := range items {
		m := literal.FindStringSubmatch(item.String())
		if m == nil {
			c.Complete = false
			continue
		}
		if names.Captures(m[1], m[2]) {
			c.Tables = append(c.Tables, c.table(m[1], m[2]))
		}
	}
	return c
}

func (c *Capture) table(database, name string) Table {
	return Table{database, name, c.names.Topic(c.Prefix, database, name)}
}

// Resolve replaces the tables by those that the database has, database and name
// of each.
func (c *Capture) Resolve(tables [][2]string) {
	c.Tables, c.Complete = nil, true
	for _, t := range tables {
		c.Tables = append(c.Tables, c.table(t[0], t[1]))
	}
}

// Topics are the tables' topics before the transforms.
func (c *Capture) Topics() []string {
	topics := make([]string, len(c.Tables))
	for i := range c.Tables {
		topics[i] = c.Tables[i].Topic
	}
	return topics
}

// Route is where a table's records go.
func (c *Capture) Route(t *Table) string { return c.Routes.Of(t.Topic) }

// Writes reports whether a table's records may go to topic; certain is false
// where the configuration does not say.
func (c *Capture) Writes(topic string) (writes, certain bool) {
	for i := range c.Tables {
		if c.Route(&c.Tables[i]) == topic {
			return true, true
		}
	}
	return false, c.Complete && !c.Routes.Open
}

// Missing is the table that would be written to topic if it were captured: one
// of a captured database, named as the topic's last part. ok is false where
// there is none, or several.
func (c *Capture) Missing(topic string) (t Table, ok bool) {
	var found []Table
	for _, database := range c.databases() {
		candidate := c.table(database, LastPart(topic))
		if c.Route(&candidate) == topic {
			found = append(found, candidate)
		}
	}
	if len(found) != 1 {
		return Table{}, false
	}
	return found[0], true
}

// databases are those of the tables that are named.
func (c *Capture) databases() []string {
	var names []string
	for i := range c.Tables {
		if !slices.Contains(names, c.Tables[i].Database) {
			names = append(names, c.Tables[i].Database)
		}
	}
	return names
}

// WithPrefix is the capture as it would be with another topic.prefix.
func (c *Capture) WithPrefix(prefix string) *Capture {
	other := *c
	other.Prefix, other.Tables = prefix, nil
	for i := range c.Tables {
		other.Tables = append(other.Tables, other.table(c.Tables[i].Database, c.Tables[i].Name))
	}
	return &other
}

// MendingPrefix is a shorter topic.prefix, cut at a dot, with which a dead
// transform matches the topics of all tables and gives each a name of its own;
// ok is false where there is none.
func (c *Capture) MendingPrefix(dead Dead) (other *Capture, ok bool) {
	for at := range len(c.Prefix) {
		if c.Prefix[at] != '.' {
			continue
		}
		other = c.WithPrefix(c.Prefix[:at])
		if other.allMatch(dead.Name) && other.distinct() {
			return other, true
		}
	}
	return nil, false
}

// allMatch reports whether the transform of that name matches every table's topic.
func (c *Capture) allMatch(name string) bool {
	for _, topic := range c.Topics() {
		for _, d := range c.Routes.Dead([]string{topic}) {
			if d.Name == name {
				return false
			}
		}
	}
	return true
}

// distinct reports whether no two tables go to one topic.
func (c *Capture) distinct() bool {
	seen := make(map[string]bool)
	for _, route := range c.routes() {
		if seen[route] {
			return false
		}
		seen[route] = true
	}
	return true
}

// routes are the names behind the transforms, in the order of the tables.
func (c *Capture) routes() []string {
	routes := make([]string, len(c.Tables))
	for i := range c.Tables {
		routes[i] = c.Route(&c.Tables[i])
	}
	return routes
}

// Some are the first names of a list for a sentence.
func Some(names []string) string {
	const most = 3
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", …"
}
