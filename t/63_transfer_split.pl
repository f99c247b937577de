# One bucket to several, on several nodes: isolations, under load and with
# accidents; and keys whose hash the mover computes from the stream's text.
# timeout: 400

use strict;
use warnings;
use Test::More;
use TransferTest;

my $test = TransferTest->new;
my $c = $test->coordinator;
my @ports = map { $_->port } $test->cluster->workers;
my $tenant = 0;
my %buckets_of = ();

# each accident meets the isolation of another tenant, to the node where it is not
for my $case (['transfer-copied-table', 'error'], ['transfer-indexes', 'exit'], ['transfer-streaming', 'fatal'],
	['transfer-apply-commit', 'exit'], ['transfer-cutover-drained', 'exit'], ['transfer-cutover-changed', 'error'],
	['transfer-cutover-prepared', 'exit'], ['commit-adopted', 'exit'], ['transfer-switched', 'fatal'])
{
	my ($point, $action) = @$case;
	my $what = "isolation with $action at $point";
	$tenant++;
	my $before = $c->query('SELECT count(*) FROM rehouse.buckets');
	my $hash = $c->query("SELECT hashint4($tenant)");
	$c->query("SELECT rehouse.debug_arm('$point', '$action')");
	$test->start("isolate_tenant_to_new_shard('a', $tenant, 'CASCADE')");
	is(($test->await_move)[0], 'done', "$what gets done");
	is($c->query("SELECT isolated_tenant FROM rehouse.buckets WHERE hash_min = $hash AND hash_max = $hash"), $tenant, "$what: the tenant has a bucket of its own");
	is($c->query('SELECT count(*) - ' . $before . ' FROM rehouse.buckets'), 2, "$what: out of one bucket came three");
	is($c->query('SELECT count(*) FROM rehouse.shards') , 3 * ($before + 2), "$what: each with a shard of every table");
	$test->nothing_left($what);
	$test->rows_are_right($what);
	$c->query("SELECT rehouse.debug_disarm('$point')");
}
# a split by points, in the same way
for my $case (['transfer-apply-commit', 'exit'], ['transfer-cutover-prepared', 'error'])
{
	my ($point, $action) = @$case;
	my $what = "split with $action at $point";
	my $before = $c->query('SELECT count(*) FROM rehouse.buckets');
	my ($shard, $middle) = split /\|/, $c->query(q{SELECT shardid, (shardminvalue::bigint + shardmaxvalue::bigint) / 2 FROM pg_dist_shard
		WHERE logicalrelid = 'a'::regclass ORDER BY shardmaxvalue::bigint - shardminvalue::bigint DESC LIMIT 1});
	$c->query("SELECT rehouse.debug_arm('$point', '$action')");
	$test->start("citus_split_shard_by_split_points($shard, ARRAY['$middle'], ARRAY[1, 2])");
	is(($test->await_move)[0], 'done', "$what gets done");
	is($c->query('SELECT count(*) - ' . $before . ' FROM rehouse.buckets'), 1, "$what: out of one bucket came two");
	is($c->query("SELECT count(*) FROM rehouse.buckets WHERE hash_max = $middle AND node_id = 1 OR hash_min = $middle + 1 AND node_id = 2"), 2, "$what: on the nodes that were named");
	$test->nothing_left($what);
	$test->rows_are_right($what);
	$c->query("SELECT rehouse.debug_disarm('$point')");
}
$test->stop_load;
is($test->load_errors, '', 'no statement of the load has failed');

# ---- keys of other types, changes of every kind in the stream ----

$c->query(<<'SQL');
CREATE SCHEMA other;
CREATE TYPE color AS ENUM ('red', 'green', 'blue', 'black', 'white', 'grey');
CREATE TABLE text_key (k text COLLATE "C", id int, big text, g int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (k, id));
ALTER TABLE text_key ALTER big SET STORAGE EXTERNAL;
CREATE TABLE other.text_key2 (k varchar(20), v numeric, j json, p point, a color[]);
CREATE TABLE "Odd ""name" ("Key"" x" text, "b.c" int);
CREATE TABLE enum_key (k color, id int, v text, UNIQUE (k, id));
CREATE TABLE numeric_key (k numeric(10, 2), v char(5), b bytea, f float8, i interval, t timestamptz);
SELECT create_distributed_table('text_key', 'k', shard_count => 1, colocate_with => 'none');
SELECT create_distributed_table('other.text_key2', 'k', shard_count => 1, colocate_with => 'none');
SELECT create_distributed_table('"Odd ""name"', 'Key" x', shard_count => 1, colocate_with => 'none');
SELECT create_distributed_table('enum_key', 'k', shard_count => 1, colocate_with => 'none');
SELECT create_distributed_table('numeric_key', 'k', shard_count => 1, colocate_with => 'none');
SQL

# (table, key, statements before, statements while it streams); ?-marks are keys
my @cases = (
	['text_key', q('t3'), [map { "INSERT INTO text_key (k, id, big) SELECT 't$_', g, repeat('x', g * 1000) FROM generate_series(1, 4) g" } 1 .. 6],
		[map { ("UPDATE text_key SET id = id + 10 WHERE k = 't$_' AND id < 3", "DELETE FROM text_key WHERE k = 't$_' AND id = 4",
				"INSERT INTO text_key (k, id) VALUES ('t$_', 99)", "UPDATE text_key SET big = NULL WHERE k = 't$_' AND id = 3") } 1 .. 6]],
	['other.text_key2', q('t3'), [map { ("INSERT INTO other.text_key2 VALUES ('t$_', 1.0, '{\"a\": 1}', '(1,2)', '{red,NULL}'), ('t$_', 1.00, NULL, NULL, NULL), ('t$_', 1.00, NULL, NULL, NULL)") } 1 .. 6],
		[map { ("DELETE FROM other.text_key2 WHERE k = 't$_' AND v::text = '1.0'", "UPDATE other.text_key2 SET a = '{blue}', v = NULL WHERE k = 't$_'",
				"UPDATE other.text_key2 SET j = '[1]' WHERE k = 't$_'") } 1 .. 6]],
	['"Odd ""name"', q('t3'), [map { qq(INSERT INTO "Odd ""name" VALUES ('t$_', 1), ('t$_', 2)) } 1 .. 6],
		[map { qq(UPDATE "Odd ""name" SET "b.c" = "b.c" + 5 WHERE "Key"" x" = 't$_') } 1 .. 6]],
	['enum_key', q('blue'), [map { "INSERT INTO enum_key VALUES ('$_', 1, 'x'), ('$_', 2, NULL)" } qw(red green blue black white grey)],
		[map { ("UPDATE enum_key SET v = 'y', id = 7 WHERE k = '$_' AND id = 1", "DELETE FROM enum_key WHERE k = '$_' AND v IS NULL", "INSERT INTO enum_key VALUES ('$_', NULL, 'z')") } qw(red green blue black white grey)]],
	['numeric_key', '3', [map { "INSERT INTO numeric_key VALUES ($_, 'ab', '\\x00ff', 0.1, '1 mon -2 days', '2001-02-03 04:05:06+07')" } 1 .. 6],
		[map { ("UPDATE numeric_key SET f = f / 3, i = i + '1 hour', t = t + '1 us' WHERE k = $_", "INSERT INTO numeric_key VALUES ($_, NULL, '', 'NaN', NULL, 'infinity')") } 1 .. 6]]);

# all rows of a table from its shards, sorted
sub rows_of
{
	my ($table) = @_;
	my @rows;
	for my $place (split /\n/, $c->query(
		"SELECT node_port || ' ' || quote_ident(nspname || '_' || bucket_id || CASE WHEN generation > 0 THEN '_' || generation ELSE '' END) || '.' || quote_ident(relname)"
		  . " FROM rehouse.buckets JOIN rehouse.nodes USING (node_id) JOIN rehouse.shards USING (bucket_id)"
		  . " JOIN pg_class c ON c.oid = relation JOIN pg_namespace n ON n.oid = relnamespace WHERE relation = '$table'::regclass"))
	{
		my ($port, $shard) = split ' ', $place, 2;
		my ($worker) = grep { $_->port == $port } $test->cluster->workers;
		push @rows, split /\n/, $worker->query("SET extra_float_digits = 3; SELECT md5(s::text) FROM $shard s");
	}
	return join "\n", sort @rows;
}

for my $case (@cases)
{
	my ($table, $key, $before, $during) = @$case;
	# a twin without shards says what must come out
	$c->query('DROP TABLE IF EXISTS public.twin');
	$c->query("CREATE TABLE public.twin (LIKE $table INCLUDING GENERATED)");
	my $both = sub {
		for my $sql (@_)
		{
			my $twin = $sql;
			$twin =~ s/(INTO|UPDATE|FROM) \Q$table\E/$1 public.twin/;
			$c->query($_) for $sql, $twin;
		}
	};
	$both->(@$before);
	$c->query("SELECT rehouse.debug_arm('transfer-stream-open', 'wait')");
	my ($home) = $c->query("SELECT node_id FROM rehouse.buckets JOIN rehouse.shards USING (bucket_id) WHERE relation = '$table'::regclass");
	my $other = $c->query("SELECT node_port FROM rehouse.nodes WHERE node_id <> $home");
	$test->start("isolate_tenant_to_new_shard('$table', $key)");
	$c->poll("SELECT rehouse.debug_waiting('transfer-stream-open')");
	$both->(@$during);
	$c->query("SELECT rehouse.debug_disarm('transfer-stream-open')");
	is(($test->await_move)[0], 'done', "$table: isolated");
	is($c->query("SELECT count(*) FROM rehouse.shards WHERE relation = '$table'::regclass"), 3, "$table: three shards");
	my $expected = join "\n", sort split /\n/, $c->query('SET extra_float_digits = 3; SELECT md5(s::text) FROM public.twin s');
	is(rows_of($table), $expected, "$table: all rows are there, and no others");
	$c->query("DELETE FROM $table WHERE true AND " . ($table =~ /Odd/ ? '"Key"" x"' : 'k') . " = $key");
}
$test->nothing_left('at the end');
$test->end;
done_testing();
