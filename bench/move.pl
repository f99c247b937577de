#!/usr/bin/perl
# The seconds of a move, as a ratio to the same bytes through a raw binary COPY pipe
# between the same two servers.
#
# move.pl [--scale F] [--rounds N]

use strict;
use warnings;
use Getopt::Long;
use Time::HiRes 'time';
use RehouseCluster;
use Tailspin;

my ($scale, $rounds) = (0.25, 3);
GetOptions('scale=f' => \$scale, 'rounds=i' => \$rounds) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
Tailspin::generate($c, scale => $scale);
$c->query("SELECT create_distributed_table('$_', 'store_id')") for qw(stores products orders line_items);

# the bucket of store 5, the largest
my $shard = $c->query("SELECT get_shard_id_for_distribution_column('line_items', 5)");
my (@moves, @pipes);
for my $round (1 .. $rounds)
{
	my ($from, $schema) = where();
	my $to = 3 - $from;
	push @pipes, pipe_seconds($from, $to, $schema);
	my $begin = time;
	$c->query("SELECT citus_move_shard_placement($shard, '127.0.0.1', "
		  . $cluster->worker($from)->port . ", '127.0.0.1', " . $cluster->worker($to)->port . ')');
	push @moves, time - $begin;
	$c->query("CALL t.wait_clean()");
}
my $bytes = $c->query("SELECT sum(shard_size) FROM citus_shards s JOIN rehouse.shards h ON h.shard_id = s.shardid
	WHERE h.bucket_id = (SELECT bucket_id FROM rehouse.shards WHERE shard_id = $shard)");
my ($move, $pipe) = map { (sort { $a <=> $b } @$_)[ $#$_ / 2 ] } \@moves, \@pipes;
printf "move of a bucket of %.1f MB: %.2f s; raw binary COPY pipe into the same tables: %.2f s; ratio %.2f (median of %d)\n",
  $bytes / 1048576, $move, $pipe, $move / $pipe, $rounds;

# On which worker the bucket is, and in what schema.
sub where
{
	my ($number, $schema) = split /\|/, $c->query(
		"SELECT t.number_of(b.node_id), 'public_' || b.bucket_id || CASE WHEN b.generation > 0 THEN '_' || b.generation ELSE '' END
		 FROM rehouse.shards s JOIN rehouse.buckets b USING (bucket_id) WHERE s.shard_id = $shard");
	return ($number, $schema);
}

# Copy the four tables with psql.
sub pipe_seconds
{
	my ($from, $to, $schema) = @_;
	my ($a, $b) = map { $cluster->worker($_) } $from, $to;
	$b->query('DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw');
	my %columns = map { $_ => $a->query("SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
		FROM pg_attribute WHERE attrelid = '$schema.$_'::regclass AND attnum > 0 AND NOT attisdropped") } qw(stores products orders line_items);
	$b->query("CREATE TABLE raw.$_ ($columns{$_})") for keys %columns;
	my $begin = time;
	for my $table (sort keys %columns)
	{
		my $psql = "$RehouseServer::BIN/psql -X -q";
		system(qq{$psql "@{[$a->conninfo]}" -c "COPY $schema.$table TO STDOUT (FORMAT binary)" | $psql "@{[$b->conninfo]}" -c "COPY raw.$table FROM STDIN (FORMAT binary)"}) == 0
		  or die "the COPY pipe failed\n";
	}
	my $seconds = time - $begin;
	$b->query('DROP SCHEMA raw CASCADE');
	return $seconds;
}
