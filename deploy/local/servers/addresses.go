package servers

import "context"

// MySQL starts MySQL if need be and returns where it is.
func (l *Local) MySQL(ctx context.Context) (SQL, error) {
	n, err := l.first(ctx, KindMySQL)
	if err != nil {
		return SQL{}, err
	}
	return sqlOf(n), nil
}

// MariaDB starts MariaDB if need be and returns where it is.
func (l *Local) MariaDB(ctx context.Context) (SQL, error) {
	n, err := l.first(ctx, KindMariaDB)
	if err != nil {
		return SQL{}, err
	}
	return sqlOf(n), nil
}

// Kafka starts Kafka if need be and returns its bootstrap address.
func (l *Local) Kafka(ctx context.Context) (string, error) { return l.firstAddress(ctx, KindKafka) }

// Redis starts Redis if need be and returns its host:port.
func (l *Local) Redis(ctx context.Context) (string, error) { return l.firstAddress(ctx, KindRedis) }

// Elasticsearch starts Elasticsearch if need be and returns its URL.
func (l *Local) Elasticsearch(ctx context.Context) (string, error) {
	host, err := l.firstAddress(ctx, KindElasticsearch)
	if err != nil {
		return "", err
	}
	return "http://" + host, nil
}

// S3 starts the S3 server if need be and returns where it is.
func (l *Local) S3(ctx context.Context) (ObjectStore, error) {
	n, err := l.first(ctx, KindS3)
	if err != nil {
		return ObjectStore{}, err
	}
	return objectStoreOf(n), nil
}

// first starts a server if need be and returns its first process.
func (l *Local) first(ctx context.Context, kind Kind) (*node, error) {
	nodes, err := l.up(ctx, kind)
	if err != nil {
		return nil, err
	}
	return nodes[0], nil
}

func (l *Local) firstAddress(ctx context.Context, kind Kind) (string, error) {
	n, err := l.first(ctx, kind)
	if err != nil {
		return "", err
	}
	return address(n.ports[0]), nil
}
