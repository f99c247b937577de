# ALTER EXTENSION .. UPDATE: what version 1.0 has made becomes, object by object, what this
# version makes; until then statements say what is to be done, and what the catalog knew is known after it.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 1);
my $c = $cluster->coordinator;
$c->query('CREATE DATABASE old');

# Every object of the extension with what it is made of; the order of columns is left out.
my $MEMBERS = <<'SQL';
WITH member AS (
    SELECT classid, objid FROM pg_depend
    WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
      AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'rehouse'))
SELECT '@@' || pg_describe_object(classid, objid, 0) || E'\n' || coalesce(what, '')
       || coalesce(' -- ' || obj_description(objid, classid::regclass::name), '')
FROM member LEFT JOIN LATERAL (
    SELECT CASE WHEN prokind = 'a' THEN 'aggregate' ELSE pg_get_functiondef(oid) END || coalesce(proacl::text, '')
      FROM pg_proc WHERE classid = 'pg_proc'::regclass AND oid = objid
    UNION ALL
    SELECT relkind::text || coalesce(relacl::text, '')
           || CASE WHEN relkind = 'v' THEN pg_get_viewdef(oid) ELSE '' END
           || coalesce((SELECT string_agg(concat_ws(' ', attname, atttypid::regtype, attnotnull, pg_get_expr(adbin, adrelid)), ', ' ORDER BY attname)
                        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
                        WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped), '')
           || coalesce((SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ', ' ORDER BY conname) FROM pg_constraint WHERE conrelid = objid), '')
           || coalesce((SELECT string_agg(pg_get_indexdef(indexrelid), ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = objid), '')
      FROM pg_class WHERE classid = 'pg_class'::regclass AND oid = objid
    UNION ALL
    SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE classid = 'pg_type'::regclass AND enumtypid = objid
    UNION ALL
    SELECT nspacl::text FROM pg_namespace WHERE classid = 'pg_namespace'::regclass AND oid = objid) d (what)
    ON what IS NOT NULL
ORDER BY 1
SQL

# name => what it is made of
sub members
{
	my ($database) = @_;
	my (undef, @rows) = split /^@@/m, $c->query($MEMBERS, database => $database);
	return map { split /\n/, $_, 2 } @rows;
}

# ------------------------------------------------------------------------

my $version = $c->query("SELECT extversion FROM pg_extension WHERE extname = 'rehouse'");
$c->database('old');
$c->query('CREATE TABLE a (k int PRIMARY KEY, t text)');
$c->query("CREATE EXTENSION rehouse VERSION '1.0'");
my ($status, undef, $messages) = $c->try('SELECT * FROM a');
like($messages, qr/55000.*extension "rehouse" has version 1\.0 in this database, and its library has version \Q$version\E/,
	'before the update a statement says that it is due');
like($messages, qr/HINT: +Run ALTER EXTENSION rehouse UPDATE\./, 'and what to do');

# What a coordinator of version 1.0 knew: the shards of a table of another database.  It is
# written with the library away, which would not let anybody near a catalog of another version.
my $port = $cluster->worker(1)->port;
$c->query($_, database => 'app') for "SELECT citus_add_node('127.0.0.1', $port)", 'CREATE TABLE a (k int PRIMARY KEY, t text)',
	q{SELECT create_distributed_table('a', 'k', shard_count => 4)}, q{INSERT INTO a SELECT i, 'row ' || i FROM generate_series(1, 100) i};
my @columns = (
	[ 'cluster', 'singleton, cluster_id, system_identifier, database_oid, timeline, epoch, coordinator_host, coordinator_port' ],
	[ 'nodes', 'node_id, group_id, node_name, node_port, database_name, node_role, node_cluster, is_active, should_have_shards, is_reserved' ],
	[ 'colocation_groups', 'colocation_id, shard_count, key_type, key_collation, is_default' ],
	[ 'tables', 'relation, kind, state, colocation_id, key_attnum, ddl_generation, estimated_rows' ],
	[ 'buckets', 'bucket_id, colocation_id, hash_min, hash_max, node_id, generation, isolated_tenant' ],
	[ 'shards', 'shard_id, relation, bucket_id' ]);
my %rows = map { $_->[0] => $c->query("COPY (SELECT $_->[1] FROM rehouse.$_->[0] ORDER BY 1) TO STDOUT", database => 'app') } @columns;
my $preload = delete $c->{conf}{shared_preload_libraries};
$c->restart;
$c->query('SET session_replication_role = replica; DELETE FROM rehouse.cluster;'
	  . join('', map { "\nCOPY rehouse.$_->[0] ($_->[1]) FROM STDIN;\n$rows{ $_->[0] }\n\\.\n" } @columns)
	  . q{UPDATE rehouse.tables SET relation = 'a'::regclass; UPDATE rehouse.shards SET relation = 'a'::regclass;
		UPDATE rehouse.cluster SET database_oid = (SELECT oid FROM pg_database WHERE datname = 'old')});
$c->{conf}{shared_preload_libraries} = $preload;
$c->restart;

# ------------------------------------------------------------------------

$c->query('ALTER EXTENSION rehouse UPDATE');
is($c->query("SELECT extversion FROM pg_extension WHERE extname = 'rehouse'"), $version, 'the update');
$c->query('CREATE DATABASE fresh');
$c->query('CREATE EXTENSION rehouse', database => 'fresh');
my %upgraded = members('old');
my %fresh = members('fresh');
cmp_ok(scalar keys %fresh, '>', 100, 'objects of the extension');
is_deeply([ grep { !exists $upgraded{$_} } sort keys %fresh ], [], 'none is missing after the update');
is_deeply([ grep { !exists $fresh{$_} } sort keys %upgraded ], [], 'none is there that should not be');
my @differ = grep { exists $upgraded{$_} && $upgraded{$_} ne $fresh{$_} } sort keys %fresh;
is_deeply(\@differ, [], 'and each is as it is made anew') || diag(map { "fresh: $fresh{$_}upgraded: $upgraded{$_}" } @differ);
is($c->query('SELECT count(*), sum(k), min(t) FROM a'), '100|5050|row 1', 'the rows of its distributed table are there');
is($c->query('SELECT t FROM a WHERE k = 7'), 'row 7', 'each where it was');
is($c->query("INSERT INTO a VALUES (101, 'new') RETURNING k"), '101', 'and it can be written');
is($c->query('SELECT count(*) FROM citus_shards'), '4', 'the views show its shards');

done_testing();
