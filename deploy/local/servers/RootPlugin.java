package weir.root;
import java.util.*;
import java.util.function.*;
import org.elasticsearch.Build;
import org.elasticsearch.client.internal.node.NodeClient;
import org.elasticsearch.cluster.metadata.IndexNameExpressionResolver;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.common.io.stream.NamedWriteableRegistry;
import org.elasticsearch.common.settings.*;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.plugins.*;
import org.elasticsearch.rest.*;
import org.elasticsearch.xcontent.XContentBuilder;

public final class RootPlugin extends Plugin implements ActionPlugin {
    private volatile org.elasticsearch.cluster.service.ClusterService clusterService;
    @Override
    public Collection<?> createComponents(PluginServices services) {
        clusterService = services.clusterService();
        return List.of();
    }
    @Override
    public Collection<RestHandler> getRestHandlers(Settings settings, NamedWriteableRegistry nwr, RestController rc,
            ClusterSettings cs, IndexScopedSettings iss, SettingsFilter sf, IndexNameExpressionResolver r,
            Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> features) {
        final String cluster = settings.get("cluster.name", "elasticsearch");
        return List.of(new BaseRestHandler() {
            @Override public String getName() { return "weir_root"; }
            @Override public List<Route> routes() {
                return List.of(new Route(RestRequest.Method.GET, "/"), new Route(RestRequest.Method.HEAD, "/"));
            }
            @Override protected RestChannelConsumer prepareRequest(RestRequest req, NodeClient client) {
                return channel -> {
                    Build b = Build.current();
                    XContentBuilder x = channel.newBuilder().startObject();
                    x.field("name", nodes.get().getLocalNode().getName());
                    x.field("cluster_name", cluster);
                    x.field("cluster_uuid", clusterService.state().metadata().clusterUUID());
                    x.startObject("version");
                    x.field("number", b.qualifiedVersion());
                    x.field("build_flavor", b.flavor());
                    x.field("build_type", b.type().displayName());
                    x.field("build_hash", b.hash());
                    x.field("build_date", b.date());
                    x.field("build_snapshot", b.isSnapshot());
                    x.field("lucene_version", org.apache.lucene.util.Version.LATEST.toString());
                    x.field("minimum_wire_compatibility_version", b.minWireCompatVersion());
                    x.field("minimum_index_compatibility_version", b.minIndexCompatVersion());
                    x.endObject().field("tagline", "You Know, for Search").endObject();
                    channel.sendResponse(new RestResponse(RestStatus.OK, x));
                };
            }
        });
    }
}
