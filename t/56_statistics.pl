# The statistics over several sessions and databases, a restart, a crash; periods; and what
# happens when their memory is full.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => {
	shared_preload_libraries => 'rehouse, pg_stat_statements',
	'rehouse.stat_statements_track' => 'all',
	'citus.stat_tenants_track' => 'all',
	'citus.stat_statements_max' => 300,
	'rehouse.stat_tenants_limit' => 200 })->add_nodes;
my $c = $cluster->coordinator;
$c->set_conf('citus.stat_tenants_period' => '3600s');
$c->poll('SHOW citus.stat_tenants_period', '1h');
my $calls = 'SELECT coalesce(sum(calls), 0) FROM citus_stat_statements WHERE partition_key IS NOT NULL';
$c->query('CREATE EXTENSION pg_stat_statements; CREATE TABLE t (k int PRIMARY KEY, v int)');
$c->query("SELECT create_distributed_table('t', 'k', shard_count := 4)");
is($c->query('SHOW rehouse.stat_statements_max'), '300', 'the documented name of a size decides');

# ---- several sessions: what one counts, others see at once ----
my @sessions = map { $c->session } 1 .. 4;
for my $round (1 .. 25) { $_->query("SELECT v FROM t WHERE k = $round") for @sessions; }
is($sessions[0]->query($calls), '100', 'all sessions together');
is($sessions[3]->query("SELECT query_count_in_this_period FROM citus_stat_tenants WHERE tenant_attribute = '7'"), '4', 'by tenant, too');
$_->query('SELECT v FROM t WHERE k = 1') for @sessions;
my $gone = $sessions[0]->query('SELECT pg_backend_pid()');
$sessions[0]->close;
my $killed = $sessions[1]->query('SELECT pg_backend_pid()');
$c->query("SELECT pg_terminate_backend($killed)");
$c->poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid IN ($gone, $killed)");
is($c->query($calls), '104', 'what a session has counted stays when it ends, or is ended');
$_->close for @sessions[ 2, 3 ];

# ---- another database ----
$_->query('CREATE DATABASE other', database => 'postgres') for $cluster->servers;
$c->query('CREATE EXTENSION rehouse; CREATE TABLE t (k int PRIMARY KEY, v int)', database => 'other');
$c->query("SELECT citus_add_node('127.0.0.1', " . $cluster->worker(1)->port . ')', database => 'other');
$c->query("SELECT create_distributed_table('t', 'k', shard_count := 4)", database => 'other');
$c->query('SELECT v FROM t WHERE k = 1', database => 'other') for 1 .. 3;
is($c->query($calls, database => 'other'), '3', 'another database has its own counts');
is($c->query("SELECT count(*) FROM citus_stat_tenants", database => 'other'), '1', 'and its own tenants');
is($c->query($calls), '104', 'which are not seen in the first');
is($c->query("SELECT query IS NULL FROM citus_stat_statements LIMIT 1", database => 'other'), 't', 'texts are null where pg_stat_statements is not there to ask');
$c->query('SELECT citus_stat_statements_reset()', database => 'other');
is($c->query($calls, database => 'other'), '0', 'a reset');
is($c->query($calls), '104', 'is of one database');

# ---- a restart keeps them, a crash does not ----
$c->query('SELECT v FROM t WHERE k = 2');
$c->restart('fast');
is($c->query($calls), '105', 'statements are kept over a restart');
is($c->query('SELECT count(*) FROM citus_stat_statements s JOIN pg_stat_statements p USING (queryid, userid, dbid) WHERE s.query IS NULL'), '0',
	'with those of pg_stat_statements');
ok(!-e $c->{dir} . '/pg_stat/rehouse.stat', 'and their file goes');
$c->query("ALTER SYSTEM SET restart_after_crash = on; SELECT pg_reload_conf()");
my $victim = $c->session;
my $pid = $victim->query('SELECT pg_backend_pid()');
kill 'KILL', $pid;
$c->wait_recovered;
is($c->query($calls), '0', 'after a crash they begin anew');
$c->query('SELECT v FROM t WHERE k = 2');
is($c->query($calls), '1', 'and go on');
$c->stop('fast');
open my $file, '>', $c->{dir} . '/pg_stat/rehouse.stat' or die;
print $file 'not what it was';
close $file;
$c->start;
is($c->query($calls), '0', 'a broken file is ignored');
like($c->log_text, qr/ignoring invalid data in file "pg_stat\/rehouse.stat"/, 'and said so');

# ---- full: who is used least makes room ----
my $s = $c->session;
$s->query("PREPARE one(int) AS SELECT v FROM t WHERE k = \$1");
for my $i (1 .. 1000)
{
	$s->query("EXECUTE one($i)");
	$s->query('EXECUTE one(5)') if $i % 10 == 0;
}
is($s->query("SELECT sum(calls) FROM citus_stat_statements WHERE partition_key = '5'"), '101', 'who is there often is counted in full');
is($s->query("SELECT query_count_in_this_period FROM citus_stat_tenants WHERE tenant_attribute = '5'"), '101', 'as a tenant, too');
is($s->query(q{SELECT string_agg(format('%s %s/%s %s', counters, used, capacity, evicted > 500), ', ' ORDER BY counters) FROM rehouse.stat_usage()}),
	'statements 300/300 t, tenants 200/200 t', 'the others make room');

# ---- periods ----
$c->set_conf('citus.stat_tenants_period' => '2s');
$c->poll('SHOW citus.stat_tenants_period', '2s');
my $tenant = q{SELECT query_count_in_this_period || ' ' || query_count_in_last_period FROM citus_stat_tenants WHERE tenant_attribute = '-1'};
$s->query('SELECT v FROM t WHERE k = -1');
$c->poll("SELECT coalesce(($tenant), '')", '0 1');
pass('what was this period is the last one');
$c->poll("SELECT coalesce(($tenant), '')", '');
pass('and who does nothing is not shown');
$s->close;

# ---- the planner's statistics follow ANALYZE on the nodes ----
$c->query(q{CREATE TABLE followed (k int PRIMARY KEY, v int); CREATE TABLE other (k int, v int) PARTITION BY LIST (v);
	CREATE TABLE other_1 PARTITION OF other FOR VALUES IN (1); CREATE TABLE other_2 PARTITION OF other FOR VALUES IN (2);
	SELECT create_distributed_table('followed', 'k', colocate_with => 't'), create_distributed_table('other', 'k', colocate_with => 't')});
my %changes = (followed => 0, other_1 => 0, other_2 => 0);

# what a session has changed is known to the nodes' statistics a while later; then ANALYZE there
sub change
{
	my ($sql, %more) = @_;
	$c->query($sql);
	for my $table (keys %more)
	{
		$changes{$table} += $more{$table};
		$c->poll(qq{SELECT sum(result::bigint) FROM run_command_on_workers(
			\$\$SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0) FROM pg_stat_user_tables WHERE relname = '$table'\$\$)}, $changes{$table});
	}
	$_->query('ANALYZE') for $cluster->workers;
}
sub rows { return "SELECT reltuples FROM pg_class WHERE oid = '$_[0]'::regclass"; }

change('INSERT INTO followed SELECT i, i % 10 FROM generate_series(1, 1000) i; INSERT INTO other SELECT i, 1 + i % 2 FROM generate_series(1, 400) i',
	followed => 1000, other_1 => 200, other_2 => 200);
$c->set_conf('rehouse.analyze_interval' => '1s');
$c->poll(rows('followed'), '1000');
$c->poll(rows('other'), '400');
is($c->query(q{SELECT string_agg(tablename || ' ' || n_distinct, ', ' ORDER BY tablename) FROM pg_stats WHERE attname = 'v' AND tablename ~ '^(followed|other)'}),
	'followed 10, other 2, other_1 1, other_2 1', 'statistics come over, of partitioned tables too');

# fewer changes than autovacuum waits for: the look that finds enough of the other table leaves this one
change('INSERT INTO followed SELECT i, 0 FROM generate_series(1001, 1050) i; INSERT INTO other SELECT i, 1 FROM generate_series(401, 800) i',
	followed => 50, other_1 => 400);
$c->poll(rows('other'), '800');
is($c->query(rows('followed')), '1000', 'not after each small change');
$c->query('ALTER TABLE followed SET (autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 40)');
$c->poll(rows('followed'), '1050');
pass('the table\'s storage parameters decide');

# a table that is in use by DDL or ANALYZE is for another look
my $holder = $c->session;
$holder->query('BEGIN; LOCK TABLE followed IN SHARE UPDATE EXCLUSIVE MODE');
change('DELETE FROM followed WHERE k > 500; DELETE FROM other WHERE k > 400', followed => 550, other_1 => 400);
$c->poll(rows('other'), '400');
is($c->query(rows('followed')), '1050', 'nobody is waited for');
$holder->query('COMMIT');
$c->poll(rows('followed'), '500');
pass('the next look brings it');
$holder->close;

# a server that has crashed has forgotten what it had counted
$cluster->worker(1)->kill9;
$cluster->worker(1)->start;
$_->query('SELECT pg_stat_reset()') for $cluster->workers;
%changes = (followed => 0, other_1 => 0, other_2 => 0);
change('INSERT INTO followed SELECT i, 0 FROM generate_series(501, 700) i', followed => 200);
$c->poll(rows('followed'), '700');
pass('and what it has counted since is new');

$c->query('ANALYZE followed');
$c->poll(q{SELECT count(*) FROM rehouse.brought_statistics WHERE relation = 'followed'::regclass AND changes IS NOT NULL}, '1');
pass('after ANALYZE by hand the nodes\' count is taken as it is');
$c->query('DROP TABLE followed, other');
$c->poll('SELECT count(*) FROM rehouse.brought_statistics s WHERE NOT EXISTS (SELECT FROM rehouse.tables t WHERE t.relation = s.relation)', '0');
$c->set_conf('rehouse.analyze_interval' => '-1');

done_testing();
