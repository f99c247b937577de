# Objects on the nodes over errors, crashes and the death of a node in the middle of their making: all
# nodes have them or none, and nothing is left behind.  A node without a function's library.
use strict;
use warnings;
use Test::More;
use File::Copy qw(copy);
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => {
	'restart_after_crash' => 'on', 'rehouse.node_connection_timeout' => '5s' });
my $c = $cluster->coordinator;
$cluster->add_nodes(1, 2);
$c->query(q{
	CREATE TYPE mood AS ENUM ('sad');
	CREATE TABLE a (k int PRIMARY KEY, m mood, b text);
	SELECT create_distributed_table('a', 'k', shard_count => 4);
	ALTER TABLE a ENABLE ROW LEVEL SECURITY});

my $n = 0;

# what a statement makes, by name; how many of both nodes have it, and whether the coordinator has
my %kinds = (
	'ddl-objects' => {
		statement => sub { "ALTER TYPE mood ADD VALUE 'thing_$_[0]'" },
		count => sub { "SELECT count(*) FROM pg_enum WHERE enumlabel = 'thing_$_[0]'" } },
	'ddl-policies' => {
		statement => sub { "CREATE FUNCTION thing_$_[0](int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true'; CREATE POLICY thing_$_[0] ON a USING (thing_$_[0](k))" },
		count => sub { "SELECT count(DISTINCT polname) FROM pg_policy WHERE polname = 'thing_$_[0]'" },
		function => 1 },
	'distribute-function' => {
		statement => sub { "CREATE AGGREGATE thing_$_[0](int) (SFUNC = thing_$_[0]_add, STYPE = int); SELECT create_distributed_function('thing_$_[0](int)')" },
		before => sub { "CREATE FUNCTION thing_$_[0]_add(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'" },
		count => sub { "SELECT count(*) FROM pg_proc WHERE proname = 'thing_$_[0]'" },
		function => 1 });

sub nodes_have
{
	my ($sql) = @_;
	return join ',', map { $_->query($sql) } ($cluster->worker(1), $cluster->worker(2));
}

sub is_settled
{
	my ($what, $kind, $expected) = @_;
	my $count = $kinds{$kind}{count}->($n);
	$c->poll(q{SELECT recover_prepared_transactions() IS NOT NULL});
	$c->poll(q{SELECT count(*) = 0 FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'});
	my $functions = "SELECT count(*) FROM pg_proc WHERE proname = 'thing_$n'";
	is($c->query($count), $expected, "$what: " . ($expected ? 'there' : 'not there') . ' on the coordinator');
	is(nodes_have($count), "$expected,$expected", "$what: the same on the nodes");
	is(nodes_have($functions), "$expected,$expected", "$what: with what it needs") if $kinds{$kind}{function};
	is($c->query(q{SELECT count(*) FROM rehouse.objects o WHERE NOT EXISTS (SELECT FROM pg_type WHERE oid = objid)
		AND NOT EXISTS (SELECT FROM pg_proc WHERE oid = objid)}), 0, "$what: nothing is recorded that is not there");
	is($c->query(q{SELECT string_agg(d, E'\n') FROM t.shard_differences('a') d}), '', "$what: the shards are as the shell");
	return;
}

sub next_statement
{
	my ($kind) = @_;
	$n++;
	$c->query($kinds{$kind}{before}->($n)) if $kinds{$kind}{before};
	return 'BEGIN; ' . $kinds{$kind}{statement}->($n) . '; COMMIT';
}

for my $kind (sort keys %kinds)
{
	$c->query(next_statement($kind));
	is_settled("$kind, no crash", $kind, 1);

	my $statement = next_statement($kind);
	$c->query("SELECT rehouse.debug_arm('$kind', 'error')");
	my ($status) = $c->try($statement);
	isnt($status, 0, "$kind: an error after the first node");
	is_settled("$kind, error", $kind, 0);

	$statement = next_statement($kind);
	$c->query("SELECT rehouse.debug_arm('$kind', 'exit')");
	($status) = $c->try($statement);
	isnt($status, 0, "$kind: the session is gone");
	$c->wait_recovered;
	is_settled("$kind, backend killed", $kind, 0);

	$statement = next_statement($kind);
	$c->query("SELECT rehouse.debug_arm('$kind', 'wait')");
	my $s = $c->session;
	$s->send($statement);
	$c->poll("SELECT rehouse.debug_waiting('$kind')");
	$c->kill9;
	$c->start;
	$s->finish;
	is_settled("$kind, coordinator killed", $kind, 0);

	# a node dies while the statement is at work on the nodes
	$statement = next_statement($kind);
	$c->query("SELECT rehouse.debug_arm('$kind', 'wait')");
	$s = $c->session;
	$s->send($statement);
	$c->poll("SELECT rehouse.debug_waiting('$kind')");
	$cluster->worker(1)->kill9;
	$cluster->worker(1)->start;
	$c->query("SELECT rehouse.debug_disarm('$kind')");
	$s->finish;
	is_settled("$kind, node killed", $kind, 0);

	$c->query(next_statement($kind));
	is_settled("$kind, after all that", $kind, 1);
}

# ---- killed while a table's objects are made with its shards, and between the phases of the commit ----
$c->query(q{
	CREATE TEXT SEARCH CONFIGURATION words (COPY = simple);
	CREATE TYPE pair AS (a int, b int);
	CREATE TABLE made (k int, p pair, b text, v tsvector GENERATED ALWAYS AS (to_tsvector('words', b)) STORED)});
my $made = q{SELECT (SELECT count(*) FROM pg_ts_config WHERE cfgname = 'words') + (SELECT count(*) FROM pg_type WHERE typname = 'pair')};
for my $point ('commit-before-decision' => 0, 'commit-after-prepare' => 0, 'commit-before-commit-prepared' => 1)
{
	next if $point =~ /^\d$/;
	my $is_there = $point eq 'commit-before-commit-prepared' ? 2 : 0;
	$c->query("SELECT rehouse.debug_arm('$point', 'exit')");
	my ($status) = $c->try(q{SELECT create_distributed_table('made', 'k', shard_count => 4)});
	isnt($status, 0, "$point: the session is gone");
	$c->wait_recovered;
	$c->poll(q{SELECT recover_prepared_transactions() IS NOT NULL});
	$c->poll(q{SELECT count(*) = 0 FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'});
	is(nodes_have($made), "$is_there,$is_there", "$point: all of the table's objects or none");
	is($c->query(q{SELECT count(*) FROM rehouse.objects WHERE objid IN ('words'::regconfig, 'pair'::regtype)}), $is_there, "$point: as recorded");
}
$c->query(q{INSERT INTO made VALUES (1, ROW(1, 2), 'some words')});
is($c->query('SELECT v FROM made WHERE k = 1'), q{'some':1 'words':2}, 'the table works');

# ---- a function in C whose library the node lacks ----
my $directory = $c->query(q{SELECT setting FROM pg_config WHERE name = 'PKGLIBDIR'});
my $library = "/tmp/rehouse_library_$$.so";
copy("$directory/fuzzystrmatch.so", $library) or die "could not copy a library: $!";
chmod 0755, $library;
$c->query(qq{CREATE FUNCTION distance(text, text) RETURNS int LANGUAGE c IMMUTABLE STRICT AS '$library', 'levenshtein'});
$c->query('CREATE TABLE lacking (k int, b text CHECK (distance(b, k::text) < 10))');
unlink $library;
my (undef, undef, $messages) = $c->try(q{SELECT create_distributed_table('lacking', 'k')});
like($messages, qr/58P01: function public\.distance\(.*text\) needs library "\Q$library\E", which does not exist on this node/, 'the library is named');
is($c->query(q{SELECT count(*) FROM rehouse.tables WHERE relation = 'lacking'::regclass}), 0, 'and nothing has been done');

$c->query('DROP TABLE a, made, lacking');
$c->query('CALL t.wait_clean()');
is($c->query('SELECT t.leftovers()'), '', 'nothing left on any node');
done_testing();
