# The four queries of Tailspin Toys give the same on a plain server and before,
# half way and after the distribution.
use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../bench/tailspin";
use RehouseCluster;
use Differential;
use Tailspin;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $coordinator = $cluster->coordinator;
my $server = $cluster->worker(1);
$server->query('CREATE DATABASE plain');
Tailspin::generate($coordinator, scale => 0.01);
Tailspin::generate($server, scale => 0.01, database => 'plain');

my @sessions = ($coordinator->session, $server->session(database => 'plain'));
my @queries = Tailspin::queries();

sub compare_queries
{
	my ($when) = @_;
	subtest $when => sub { Differential::compare(@sessions, { sql => $_ =~ s/;\s*$//r }) for @queries; };
	return;
}

compare_queries('before');

my (undef, undef, $messages) = $coordinator->try("SELECT create_distributed_table('orders', 'store_id')");
like($messages, qr/referenced table "stores" must be a distributed table or a reference table/, 'the documented error');
like($messages, qr/DETAIL:  To enforce foreign keys, the referencing and referenced rows need to be stored on the same node\./, 'its detail');
like($messages, qr/HINT:  You could use SELECT create_reference_table\('stores'\) to replicate the referenced table to all nodes or consider dropping the foreign key/, 'its hint');
$coordinator->query("SELECT create_distributed_table('stores', 'store_id')");
$coordinator->query("SELECT create_distributed_table('products', 'store_id', colocate_with => 'stores')");
compare_queries('half distributed');

$coordinator->query("SELECT create_distributed_table('$_', 'store_id', colocate_with => 'stores')") for qw(orders line_items);
compare_queries('distributed');

$coordinator->query("SELECT truncate_local_data_after_distributing_table('stores')");
compare_queries('local rows truncated');
is($coordinator->query("SELECT count(*), count(DISTINCT shard_count), max(shard_count), count(DISTINCT colocation_id) FROM citus_tables"),
	'4|1|32|1', 'four tables of 32 shards, co-located');
Differential::compare_tables(@sessions);

done_testing();
