# citus_create_restore_point: base backups of all servers, restored to the point, are of one moment.
# Transactions over two nodes are everywhere or nowhere, whatever step of their commit they were at.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
$_->set_conf(wal_keep_size => '256MB') for $cluster->servers;
$c->query(q{CREATE TABLE ledger (n int PRIMARY KEY); CREATE TABLE items (k int, n int, PRIMARY KEY (k, n));
	SELECT create_distributed_table('items', 'k', shard_count => 4)});

my %copy;
for my $server ($cluster->servers)
{
	my $dir = $cluster->dir . '/copy_of_' . $server->name;
	system("$RehouseServer::BIN/pg_basebackup", '-h', '127.0.0.1', '-p', $server->port, '-U', 'postgres', '-D', $dir, '-X', 'fetch', '-c', 'fast') == 0
	  or die "could not make a backup\n";
	$copy{ $server->name } = $dir;
}

# rows on both nodes, and one here
sub work { return "BEGIN; INSERT INTO ledger VALUES ($_[0]); INSERT INTO items SELECT i, $_[0] FROM generate_series(1, 20) i; COMMIT"; }
sub held
{
	my ($n, $point) = @_;
	my $s = $c->session;
	$c->query("SELECT rehouse.debug_arm('$point', 'wait')");
	$s->send(work($n));
	$c->poll("SELECT rehouse.debug_waiting('$point')");
	return $s;
}

$c->query(work(1));

# the second is held at an earlier step, so that it does not come to that of the first
my $deciding = held(2, 'commit-before-commit');
my $undecided = held(3, 'commit-before-decision');

# one that has written its decision, and not committed it, is waited for
my $point = $c->session;
my $pid = $point->query('SELECT pg_backend_pid()');
$point->query("SET lock_timeout = '1s'");
like(($point->try("SELECT citus_create_restore_point('here')"))[1], qr/55P03/, 'not for longer than lock_timeout, since others wait behind it');
$point->query("SET lock_timeout = '300s'");
$point->send("SELECT citus_create_restore_point('here') IS NOT NULL");
$c->poll("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid");
pass('a commit under way is waited for');
$c->query("SELECT rehouse.debug_disarm('commit-before-commit')");
is(($point->finish)[0], 't', 'then the point is made');
$deciding->finish;
$c->query("SELECT rehouse.debug_disarm('commit-before-decision')");
$undecided->finish;
$c->query(work(4));
is($c->query('SELECT string_agg(n::text, $$ $$ ORDER BY n) FROM ledger'), '1 2 3 4', 'all have committed since');
$_->stop('fast') for $cluster->servers;

# all servers, restored to the point, at their addresses
my %restored;
for my $server (reverse $cluster->servers)
{
	my $dir = $copy{ $server->name };
	open my $signal, '>', "$dir/recovery.signal" or die;
	close $signal;
	my $copy = RehouseServer->new(name => 'copy_of_' . $server->name, dir => $dir, conf => { %{ $server->{conf} },
		restore_command => "cp " . $server->datadir . "/pg_wal/%f %p", recovery_target_name => 'here', recovery_target_action => 'promote' });
	$copy->{port} = $server->port;
	$copy->start;
	$copy->database('app');
	$copy->poll('SELECT NOT pg_is_in_recovery()');
	$restored{ $server->name } = $copy;
}
my $r = $restored{ $c->name };
$r->query('SELECT rehouse.take_over()');
$r->poll('SELECT recover_prepared_transactions() IS NOT NULL');
$r->poll(q{SELECT count(*) = 0 FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'});
is($r->query('SELECT string_agg(n::text, $$ $$ ORDER BY n) FROM ledger'), '1 2', 'what had been decided is there, what had not is not');
is($r->query('SELECT string_agg(n || $$:$$ || c, $$ $$ ORDER BY n) FROM (SELECT n, count(*) c FROM items GROUP BY n) s'), '1:20 2:20', 'and so on all nodes');
$r->query(work(5));
is($r->query('SELECT count(*) FROM items'), '60', 'the cluster goes on');
$_->stop('immediate') for values %restored;
done_testing();
