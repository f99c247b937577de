# What a server lacks to be a worker, and the coordinator, is said in one message, and nothing is changed.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 1,
	worker => { wal_level => 'replica', max_prepared_transactions => 0, max_replication_slots => 1, max_wal_senders => 1 });
my $c = $cluster->coordinator;
my $w = $cluster->worker(1);
my $port = $w->port;
my $add = "SELECT citus_add_node('127.0.0.1', $port)";

# an ordinary role on both sides
$_->query('CREATE ROLE plain LOGIN', database => 'postgres') for $cluster->servers;
my ($status, $rows, $messages) = $c->try($add, user => 'plain');
like($messages, qr/42501/, 'an ordinary user may not add nodes');
$c->query('GRANT EXECUTE ON FUNCTION citus_add_node TO plain');
($status, $rows, $messages) = $c->try($add, user => 'plain');
like($messages, qr/55000: cannot use node "127.0.0.1:$port" as a worker/, 'refused');
like($messages, qr/$_/, "says: $_")
  for 'wal_level is "replica"', 'max_prepared_transactions is 0', 'max_replication_slots is 1', 'max_wal_senders is 1',
  'role "plain" lacks the attribute REPLICATION', 'role "plain" lacks the privilege CREATE',
  'ALTER SYSTEM SET wal_level = \'logical\'', 'ALTER SYSTEM SET max_prepared_transactions = \d+',
  'ALTER SYSTEM SET max_replication_slots = \d+', 'ALTER SYSTEM SET max_wal_senders = \d+',
  'ALTER ROLE plain REPLICATION', 'GRANT CREATE ON DATABASE app TO plain';
is($w->query("SELECT count(*) FROM pg_namespace WHERE nspname = 'rehouse'"), '0', 'nothing was made there');
is($c->query('SELECT count(*) FROM rehouse.nodes'), '0', 'nor here');

# put right, as the hints say
$w->query($_) for 'ALTER ROLE plain REPLICATION', 'GRANT CREATE ON DATABASE app TO plain';
$w->{conf} = {};
$w->restart;
($status, $rows, $messages) = $c->try($add, user => 'plain');
is($status, 0, 'a role with REPLICATION and CREATE on the database is enough') or diag($messages);
is($w->query('SELECT rolsuper FROM pg_roles WHERE rolname = \'plain\''), 'f', 'it is no superuser');

# a second cluster may not take it
$c->query('CREATE DATABASE other', database => 'postgres');
$c->query('CREATE EXTENSION rehouse', database => 'other');
$w->query('CREATE DATABASE other', database => 'postgres');
($status, $rows, $messages) = $c->try($add, database => 'other');
is($status, 0, 'another database of the same servers is a cluster of its own') or diag($messages);
$w->query('CREATE TABLE owner_before AS SELECT * FROM rehouse.owner', database => 'other');
$c->query("DROP EXTENSION rehouse CASCADE; CREATE EXTENSION rehouse", database => 'other');
# as when the node had not been there to be cleaned
$w->query('CREATE SCHEMA rehouse; CREATE TABLE rehouse.owner AS SELECT * FROM owner_before', database => 'other');
($status, $rows, $messages) = $c->try($add, database => 'other');
like($messages, qr/belongs to another cluster/, 'a database that another cluster owns is refused');

# a database that does not exist, and one that is a coordinator
$c->query('CREATE DATABASE alone ENCODING \'LATIN1\' LOCALE \'C\' TEMPLATE template0', database => 'postgres');
$c->query('CREATE EXTENSION rehouse', database => 'alone');
($status, $rows, $messages) = $c->try($add, database => 'alone');
like($messages, qr/database "alone" does not exist/, 'a missing database');
like($messages, qr/CREATE DATABASE alone ENCODING 'LATIN1'/, 'with what to do');
$w->query('CREATE DATABASE alone', database => 'postgres');
($status, $rows, $messages) = $c->try($add, database => 'alone');
like($messages, qr/encoding is UTF8, the coordinator's is LATIN1/, 'another encoding');

# the coordinator's own settings
$c->{conf}{wal_level} = 'replica';
$c->restart;
$c->query('CREATE DATABASE third', database => 'postgres');
$c->query('CREATE EXTENSION rehouse', database => 'third');
($status, $rows, $messages) = $c->try($add, database => 'third');
like($messages, qr/coordinator: wal_level is "replica"/, 'the coordinator is looked at, too');
like($messages, qr/database "third" does not exist/, 'in the same message');
delete $c->{conf}{wal_level};
$c->restart;

# our own server: a second database
($status, $rows, $messages) = $c->try("SELECT citus_add_node('127.0.0.1', " . $c->port . ')', database => 'third');
is($status, 0, 'our own server can be a worker') or diag($messages);
is($c->query('SELECT database_name FROM rehouse.nodes', database => 'third'), 'third_worker', 'with a database of its own');
is($c->query('CREATE TABLE t (k int PRIMARY KEY); SELECT create_distributed_table(\'t\', \'k\'); SELECT count(*) FROM rehouse.placement_map',
	database => 'third'), "\n32", 'which takes shards');
($status, $rows, $messages) = $c->try("SELECT citus_add_node('localhost', " . $c->port . ')', database => 'third');
is($c->query('SELECT count(*) FROM rehouse.nodes', database => 'third'), '1', 'but not twice under two names')
  or diag($messages);

# a copy of the coordinator's database
$c->query('CREATE DATABASE clone TEMPLATE other', database => 'postgres');
($status, $rows, $messages) = $c->try("SELECT citus_add_node('127.0.0.1', $port)", database => 'clone');
like($messages, qr/55000: this database is a copy/, 'a copy of the coordinator does nothing');
like($messages, qr/rehouse\.take_over/, 'and says what to do');

# passwords
($status, $rows, $messages) = $c->try("SET rehouse.node_conninfo = 'password=secret hostt=x'");
unlike($messages, qr/secret.*hostt|hostt.*secret/s, 'a bad setting is not repeated')
  or diag($messages);
like($messages, qr/invalid value for parameter "rehouse.node_conninfo"/, 'but refused');
($status, $rows, $messages) = $c->try('SHOW rehouse.node_conninfo', user => 'plain');
like($messages, qr/42501/, 'ordinary users cannot look at it');

done_testing();
