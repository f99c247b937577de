# Connections with TLS: rehouse.node_conninfo says so, and large values and results go through.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 1);
my $c = $cluster->coordinator;
my $w = $cluster->worker(1);
my $dir = $w->datadir;
system("openssl req -new -x509 -days 2 -nodes -subj /CN=worker -newkey rsa:2048 -keyout '$dir/server.key' -out '$dir/server.crt' 2>/dev/null") == 0
  or plan skip_all => 'no openssl command';
chmod 0600, "$dir/server.key";
$w->{conf} = { ssl => 'on' };
$w->restart;
open my $hba, '>', "$dir/pg_hba.conf" or die;
print $hba "hostssl all all 127.0.0.1/32 trust\nhostssl replication all 127.0.0.1/32 trust\n";
close $hba;
$w->query('SELECT pg_reload_conf()');

$c->set_conf('rehouse.node_conninfo' => 'sslmode=disable');
my ($status, $rows, $messages) = $c->try("SELECT citus_add_node('127.0.0.1', " . $w->port . ')');
like($messages, qr/08001/, 'a server that wants TLS is not talked to without');
$c->set_conf('rehouse.node_conninfo' => "sslmode=verify-ca sslrootcert=$dir/server.crt");
$c->poll("SELECT citus_check_connection_to_node('127.0.0.1', " . $w->port . ')');
$cluster->add_nodes;
$c->query(q{
	CREATE TABLE big (k int PRIMARY KEY, v text);
	SELECT create_distributed_table('big', 'k', shard_count => 4);
	INSERT INTO big SELECT i, repeat(md5(i::text), 1000) FROM generate_series(1, 300) i;
});
my $s = $c->session;
is($s->query('SELECT count(*), sum(length(v)) FROM big WHERE k > 0'), '300|9600000', 'rows went in');
is($s->query('SELECT sum(length(b.v)) FROM (SELECT * FROM big OFFSET 0) b'), '9600000', 'and come out');
is($s->query("UPDATE big SET v = repeat('x', 30000000) WHERE k = 1; SELECT length(v) FROM big WHERE k = 1"), '30000000', 'a large parameter');
is($s->query("SELECT v = repeat('x', 30000000) FROM (SELECT * FROM big WHERE k = 1 OFFSET 0) b"), 't', 'a large value');
is($s->query("DO \$\$ DECLARE r record; n int := 0; BEGIN FOR r IN SELECT * FROM big WHERE k > 1 LOOP n := n + length((SELECT v FROM big WHERE k = r.k)); END LOOP; PERFORM set_config('t.n', n::text, false); END \$\$; SELECT current_setting('t.n')"), '9568000', 'many readers');
is($w->query("SELECT bool_and(ssl) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name LIKE 'rehouse %'"), 't', 'all of it by TLS');
my ($r, $m) = $s->try("SET statement_timeout = '300ms'; SELECT pg_sleep(10), k FROM big WHERE k = 2");
like($m, qr/57014/, 'a cancel');
is($s->query('RESET statement_timeout; SELECT length(v) FROM big WHERE k = 2'), '32000', 'and on');

done_testing();
