# The gate, and what a transaction that keeps its snapshot sees of moves; the
# map after a crash; DROP EXTENSION; a map that does not fit.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 0, coordinator => { deadlock_timeout => '1s' });
my $c = $cluster->coordinator;
my $functions = <<'SQL';
CREATE FUNCTION route(int, int) RETURNS text AS 'rehouse', 'rh_debug_route' LANGUAGE C;
CREATE FUNCTION gate(int, int) RETURNS text AS 'rehouse', 'rh_debug_gate_route' LANGUAGE C;
CREATE FUNCTION gate_all(int) RETURNS int AS 'rehouse', 'rh_debug_gate_route_all' LANGUAGE C;
CREATE FUNCTION exclusive(int, bigint, int) RETURNS bool AS 'rehouse', 'rh_debug_gate_exclusive' LANGUAGE C;
CREATE FUNCTION holders(int, bigint) RETURNS int AS 'rehouse', 'rh_debug_gate_holders' LANGUAGE C;
CREATE FUNCTION oldest() RETURNS bigint AS 'rehouse', 'rh_debug_oldest_routed' LANGUAGE C;
CREATE FUNCTION mark(oid) RETURNS void AS 'rehouse', 'rh_debug_transit_mark' LANGUAGE C;
CREATE FUNCTION marked(oid) RETURNS bool AS 'rehouse', 'rh_debug_transit_marked' LANGUAGE C;
CREATE FUNCTION used() RETURNS bigint AS 'rehouse', 'rh_debug_map_used' LANGUAGE C;
SQL
$c->query($functions);

# Groups of buckets on two nodes that nobody connects to.
my $nodes = <<'SQL';
INSERT INTO rehouse.nodes (node_id, group_id, node_name, node_port, database_name, is_active, should_have_shards)
VALUES (1001, 1, 'nowhere', 1, 'x', false, false), (1002, 2, 'nowhere', 2, 'x', false, false);
SQL
my $group = <<'SQL';
INSERT INTO rehouse.colocation_groups VALUES (%1$d, %2$d, 23, 0, false);
INSERT INTO rehouse.buckets (bucket_id, colocation_id, hash_min, hash_max, node_id)
SELECT %1$d * 100000 + i, %1$d, (-2147483648 + i * (4294967296 / %2$d))::int,
       CASE WHEN i = %2$d - 1 THEN 2147483647 ELSE -2147483648 + (i + 1) * (4294967296 / %2$d) - 1 END::int, 1001
FROM generate_series(0::bigint, %2$d - 1) i;
SELECT rehouse.refresh_map();
SQL
$c->query("BEGIN; $nodes " . sprintf($group, 70, 4) . 'COMMIT');
$c->query('BEGIN; ' . sprintf($group, 71, 40) . 'COMMIT');

sub move
{
	my ($bucket, $node) = @_;
	return $c->query("BEGIN; UPDATE rehouse.buckets SET node_id = $node WHERE bucket_id = $bucket; SELECT rehouse.refresh_map(); COMMIT");
}

sub version { return $c->query('SELECT max(version) FROM rehouse.placement_map'); }

# ---- writers and a cutover ----
my ($a, $b, $m) = map { $c->session } 1 .. 3;
is($a->query('BEGIN; SELECT gate(70, 5)'), '7000002 on 1001', 'a writer is routed');
is($a->query("SELECT mode FROM pg_locks WHERE classid = 'rehouse.buckets'::regclass AND objid = 7000002"), 'RowExclusiveLock',
	'by a lock on its bucket that pg_locks shows');
is($b->query('BEGIN; SELECT gate(70, 6)'), '7000002 on 1001', 'writers do not wait for each other');
is($m->query('BEGIN; SELECT exclusive(70, 7000002, 0)'), 'f', 'a cutover has to wait for them');
is($m->query('SELECT exclusive(70, 7000002, 50)'), 'f', 'also when it queues, within its time');
is($m->query('SELECT exclusive(70, 7000001, 0)'), 't', 'but not on another bucket');
is($c->query('SELECT holders(70, 7000002)'), '2', 'it can say who they are');
is($b->query('SELECT gate(70, 6)'), '7000002 on 1001', 'nothing is left of its attempts');
$_->query('COMMIT') for $a, $b, $m;
is($m->query('BEGIN; SELECT exclusive(70, 7000002, 50)'), 't', 'when they have ended, it gets it');
$a->send('BEGIN; SELECT gate(70, 5)');
$c->poll("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND classid = 'rehouse.buckets'::regclass");
is($b->query('SELECT route(70, 5)'), '7000002 on 1001', 'readers do not wait');
$m->query('UPDATE rehouse.buckets SET node_id = 1002 WHERE bucket_id = 7000002; SELECT rehouse.refresh_map(); COMMIT');
is(($a->finish)[0], '7000002 on 1002', 'who waited is routed by the new map');
$a->query('COMMIT');

# a split while a writer waits: it takes the new bucket's gate
$m->query('BEGIN; SELECT exclusive(70, 7000000, 50)');
$a->send('BEGIN; SELECT gate(70, -2147483648)');
$c->poll("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND classid = 'rehouse.buckets'::regclass");
$m->query(<<'SQL');
DELETE FROM rehouse.buckets WHERE bucket_id = 7000000;
INSERT INTO rehouse.buckets VALUES (7000090, 70, -2147483648, -2147483600, 1002), (7000091, 70, -2147483599, -1073741825, 1001);
SELECT rehouse.refresh_map(); COMMIT
SQL
is(($a->finish)[0], '7000090 on 1002', 'a writer that waited for a bucket that was split goes to the new one');
is($a->query("SELECT string_agg(objid::text, ' ') FROM pg_locks WHERE classid = 'rehouse.buckets'::regclass"), '7000090', 'with its gate only');
$a->query('COMMIT');

# ---- a statement on many buckets ----
is($a->query('BEGIN; SELECT gate_all(71)'), '40', 'a statement on all buckets');
is($a->query("SELECT count(*) FILTER (WHERE classid = 'rehouse.buckets'::regclass), count(*) FILTER (WHERE classid = 'rehouse.colocation_groups'::regclass) FROM pg_locks"),
	'0|1', 'takes one lock on the group');
is($b->query('BEGIN; SELECT gate(71, 5)'), '7100020 on 1001', 'other writers go on');
is($m->query('BEGIN; SELECT exclusive(71, 7100007, 0)'), 'f', 'a cutover waits for it');
$_->query('COMMIT') for $a, $b;
is($m->query('SELECT exclusive(71, 7100007, 0)'), 't', 'and gets it afterwards');
$a->send('BEGIN; SELECT gate_all(71)');
$c->poll("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND classid = 'rehouse.colocation_groups'::regclass");
$m->query('ROLLBACK');
is(($a->finish)[0], '40', 'it waits for the cutover in turn');
$a->query('COMMIT');
is($a->query('BEGIN; SELECT gate_all(70)'), '5', 'few buckets');
is($a->query("SELECT count(*) FROM pg_locks WHERE classid = 'rehouse.buckets'::regclass"), '5', 'are locked one by one');
$a->query('COMMIT');

# ---- a savepoint gives its gates back ----
$a->query('BEGIN; SAVEPOINT s; SELECT gate(70, 5); ROLLBACK TO s');
is($m->query('BEGIN; SELECT exclusive(70, 7000002, 0)'), 't', 'a gate taken in a savepoint goes with it');
$_->query('ROLLBACK') for $a, $m;

# ---- transactions that keep their snapshot ----
my $before = version();
is($a->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT route(70, 5)'), '7000002 on 1002', 'REPEATABLE READ');
is($b->query('BEGIN; SELECT route(70, 5)'), '7000002 on 1002', 'READ COMMITTED');
move(7000002, 1001);
move(7100020, 1002);
is($a->query('SELECT route(70, 5)'), '7000002 on 1002', 'goes on reading where it was');
is($a->query('SELECT route(71, 5)'), '7100020 on 1001', 'of buckets not read before, too');
is($b->query('SELECT route(70, 5)'), '7000002 on 1001', 'READ COMMITTED follows the map');
is($c->query('SELECT oldest()'), $before, 'the oldest routed version holds back the drop');
my ($rows, $error) = $a->try('SELECT gate(70, 5)');
like($error, qr/40001/, 'a write to the bucket that has moved is a serialization failure');
$a->query('ROLLBACK');
is($c->query('SELECT oldest()'), $before, 'the other transaction was routed by the old version as well');
$b->query('COMMIT');
is($c->query('SELECT oldest()'), version(), 'nobody is left');
$b->query("BEGIN; SELECT route(70, 5); PREPARE TRANSACTION 'routed'");
is($c->query('SELECT count(*) FROM pg_prepared_xacts'), '1', 'a prepared transaction that was routed but has used no node');
move(7000003, 1002);
is($c->query('SELECT oldest()'), version(), 'holds nothing back');
$b->query("ROLLBACK PREPARED 'routed'");
is($a->query('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT gate(70, 5)'), '7000002 on 1001', 'a new one writes');
$a->query('SELECT gate_all(71)');
$a->query('COMMIT');
$a->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT route(70, 5)');
$a->query('UPDATE rehouse.buckets SET node_id = 1002 WHERE bucket_id = 7000002; SELECT rehouse.refresh_map()');
is($a->query('SELECT route(70, 5)'), '7000002 on 1002', 'its own change it does see');
is($a->query('SELECT gate(70, 5)'), '7000002 on 1002', 'and may write to');
$a->query('ROLLBACK');

# ---- transit marks ----
my $relid = $c->query("SELECT 'pg_class'::regclass::oid");
is($a->query("BEGIN; SELECT mark($relid); SELECT marked($relid)"), "\nt", 'a mark is seen by its owner');
is($b->query("SELECT marked($relid)"), 't', 'and by others');
is($b->query('SELECT marked(1)'), 'f', 'no other table is marked');
$a->query('ROLLBACK');
is($b->query("SELECT marked($relid)"), 'f', 'it goes with the transaction');
$a->query("BEGIN; SELECT mark($relid)");
$c->query('SELECT pg_terminate_backend(' . $a->query('SELECT pg_backend_pid()') . ')');
$c->poll("SELECT NOT marked($relid)");
pass('and with the session');

# ---- the map is the same after a crash ----
my $map = $c->query('SELECT bucket_id, node_id FROM rehouse.placement_map');
$b->query('BEGIN; SELECT gate(70, 5)');
kill 'KILL', $b->query('SELECT pg_backend_pid()');
$c->wait_recovered;
is($c->query('SELECT bucket_id, node_id FROM rehouse.placement_map'), $map, 'kill -9 of a backend: the map is built again');
is($c->query('SELECT DISTINCT version FROM rehouse.placement_map'), '1', 'as the first one');
is($c->query('SELECT oldest()'), '1', 'no slot has kept anything');

# ---- a writer that dies between building and publishing ----
$m = $c->session;
$c->query("SELECT rehouse.debug_arm('map_prepared', 'error')");
my $used = $c->query('SELECT used()');
($rows, $error) = $m->try('BEGIN; UPDATE rehouse.buckets SET node_id = 1002; SELECT rehouse.refresh_map(); COMMIT');
like($error, qr/map_prepared/, 'an error after the map was prepared');
is($c->query('SELECT used()'), $used, 'leaves nothing in the arena');
$c->query("SELECT rehouse.debug_arm('map_prepared', 'fatal')");
($rows, $error) = $m->try('ROLLBACK; BEGIN; UPDATE rehouse.buckets SET node_id = 1002; SELECT rehouse.refresh_map(); COMMIT');
$c->poll("SELECT used() = $used");
pass('neither does the end of the session');
is($c->query('SELECT bucket_id, node_id FROM rehouse.placement_map'), $map, 'and the map is the old one');

# ---- kill -9 between the commit and the publication ----
$m = $c->session;
$c->query("SELECT rehouse.debug_arm('map_prepared', 'exit')");
($rows, $error) = $m->try('BEGIN; UPDATE rehouse.buckets SET node_id = 1002 WHERE bucket_id = 7000001; SELECT rehouse.refresh_map(); COMMIT');
$c->wait_recovered;
is($c->query('SELECT bucket_id, node_id FROM rehouse.placement_map'), $map, 'killed before the commit: the old map');
$m = $c->session;
$c->query("SELECT rehouse.debug_arm('map_publish', 'exit')");
($rows, $error) = $m->try('BEGIN; UPDATE rehouse.buckets SET node_id = 1002 WHERE bucket_id = 7000001; SELECT rehouse.refresh_map(); COMMIT');
$c->wait_recovered;
is($c->query('SELECT node_id FROM rehouse.placement_map WHERE bucket_id = 7000001'), '1002', 'killed after the commit, before the publication: the new one');
move(7000001, 1001);
$map = $c->query('SELECT bucket_id, node_id FROM rehouse.placement_map');

# ---- several databases, and the extension coming and going ----
$c->query('CREATE DATABASE other TEMPLATE template0');
my $other = $c->session(database => 'other');
is($other->query('SELECT 1'), '1', 'a database without the extension');
$c->query('CREATE EXTENSION rehouse', database => 'other');
$c->query($functions, database => 'other');
is($other->query('SELECT count(*) FROM rehouse.placement_map'), '0', 'has a map of its own as soon as it has the extension');
$c->query("BEGIN; $nodes " . sprintf($group, 5, 3) . 'COMMIT', database => 'other');
is($other->query('SELECT count(*) FROM rehouse.placement_map'), '3', 'its own buckets');
is($c->query('SELECT bucket_id, node_id FROM rehouse.placement_map'), $map, 'and the first database its own');
$other->query('BEGIN; DROP EXTENSION rehouse CASCADE');
is($other->query('SELECT route(5, 5)'), '', 'who drops the extension sees no map');
$other->query('ROLLBACK');
is($other->query('SELECT route(5, 5)'), '500001 on 1001', 'and sees it again after ROLLBACK');
$other->query('DROP EXTENSION rehouse');
is($other->query('SELECT route(5, 5)'), '', 'DROP EXTENSION takes the map away');
$c->query('CREATE EXTENSION rehouse', database => 'other');
is($other->query('SELECT count(*) FROM rehouse.placement_map'), '0', 'it comes back empty');
$other->close;
$c->query('DROP DATABASE other WITH (FORCE)', database => 'postgres');

# ---- 100,000 shards in the default arena; a small one is full ----
$c->query('BEGIN; ' . sprintf($group, 90, 100000) . 'COMMIT');
is($c->query('SELECT route(90, 2147483647)'), '9099999 on 1001', '100,000 buckets');
is($c->query("BEGIN; SELECT count(gate(90, (-2147483648 + i * 42949)::int)) FROM generate_series(0::bigint, 5000) i;
	SELECT count(*) FILTER (WHERE classid = 'rehouse.buckets'::regclass), count(*) FILTER (WHERE classid = 'rehouse.colocation_groups'::regclass) FROM pg_locks; COMMIT"),
	"5001\n512|1", 'a transaction with many gates takes the group');
my ($status, $out, $messages) = $c->try('BEGIN; UPDATE rehouse.buckets SET node_id = 1002 WHERE bucket_id = 9000000; SELECT rehouse.refresh_map(); COMMIT');
is("$status $messages", '0 ', 'and a second version of them fit into the default memory, without a warning');

$c->stop;
$c->{conf}{'rehouse.map_memory'} = '7MB';
$c->start;
is($c->query('SELECT route(90, 2147483647)'), '9099999 on 1001', 'one version fits into 7 MB');
($status, $out, $messages) = $c->try('BEGIN; UPDATE rehouse.buckets SET node_id = 1001 WHERE bucket_id = 9000000; SELECT rehouse.refresh_map(); COMMIT');
like($messages, qr/53200.*does not fit.*HINT:.*rehouse\.map_memory/s, 'a second one does not: an error names the setting');
is($c->query('SELECT route(90, -2147483648)'), '9000000 on 1002', 'the map before stays valid');
$c->query('BEGIN; ' . sprintf($group, 91, 10) . 'COMMIT');
is($c->query('SELECT route(91, 0)'), '9100005 on 1001', 'what is small is still published: unchanged groups are shared');

done_testing();
