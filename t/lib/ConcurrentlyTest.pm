package ConcurrentlyTest;

# Tables under load, distributed with an accident at a debug point: what the
# tests of distributing while tables are used share.
#
#   my $test = ConcurrentlyTest->new;                     # partitioned => 1, as there
#   $test->distribute_with('transfer-slot', 'fatal');     # several tests each
#   $test->end;
#
# The load is that of TransferTest; between two accidents its tables are made
# local again, while it is held up for the moment.

use strict;
use warnings;
use parent 'TransferTest';
use Test::More;

my $CALL = "rehouse.distribute_concurrently(ARRAY['a', 'b']::regclass[], ARRAY['k'])";

sub new
{
	my ($class, %args) = @_;
	return TransferTest::new($class, %args, local => 1, coordinator => { 'rehouse.shard_count' => 4 });
}

# Hold the load up while something is done.
sub quietly
{
	my ($self, $action) = @_;
	my $hold = $self->coordinator->session;
	$hold->query('SELECT pg_advisory_lock(7)');
	$action->();
	$hold->close;
	return;
}

# The sums as a query sees them, wherever the rows are.
sub sums_of_tables
{
	my ($self) = @_;
	return $self->coordinator->query(
		q{SELECT (SELECT count(*) FROM a), (SELECT coalesce(sum(n), 0) FROM a WHERE m = 'happy' AND n = id),
		  (SELECT count(*) FROM b), (SELECT coalesce(sum(id), 0) FROM b WHERE t = 'upd'),
		  (SELECT count(*) FROM c), (SELECT coalesce(sum(id), 0) FROM c JOIN a USING (k, id))});
}

# Nothing of the call is left on the coordinator either.
sub coordinator_is_clean
{
	my ($self, $what) = @_;
	is($self->coordinator->query(
			"SELECT 'in transit ' || relation::regclass FROM rehouse.tables WHERE state = 't'"
			  . " UNION ALL SELECT 'identity ' || oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relreplident <> 'd'"),
		'', "$what: nothing is left on the coordinator");
	return;
}

# All tables are distributed, and the rows are in the shards.
sub is_distributed
{
	my ($self, $what) = @_;
	is($self->coordinator->query(q{SELECT string_agg(relid::text, ' ') FROM unnest('{a,b,c}'::regclass[]) r, pg_partition_tree(r)
		WHERE relid NOT IN (SELECT table_name FROM citus_tables)}), '', "$what: the tables are distributed");
	$self->nothing_left($what);
	$self->coordinator_is_clean($what);
	$self->rows_are_right($what);
	return;
}

# All tables are local, with all rows.
sub is_local
{
	my ($self, $what) = @_;
	is($self->coordinator->query('SELECT count(*) FROM citus_tables'), '0', "$what: the tables are local");
	$self->nothing_left($what);
	$self->coordinator_is_clean($what);
	is($self->coordinator->query('SELECT count(*) FROM rehouse.buckets'), '0', "$what: there are no buckets");
	$self->quietly(sub { is($self->sums_of_tables, $self->sums_of_ledger, "$what: no row lost or doubled"); });
	return;
}

sub make_local
{
	my ($self) = @_;
	$self->quietly(sub {
		$self->coordinator->query("SELECT undistribute_table('b'), undistribute_table('a', cascade_via_foreign_keys => true)");
	});
	return;
}

# Distribute with a point armed; it must get done in spite of it.  Then there may be more to look at.
sub distribute_with
{
	my ($self, $point, $action, $look) = @_;
	my $c = $self->coordinator;
	my $what = "$action at $point";
	$c->query("SELECT rehouse.debug_arm('$point', '$action')");
	$self->start($CALL);
	my ($state) = $self->await_move;
	is($state, 'done', "$what: it gets done") or diag($c->query('SELECT s FROM rehouse.job_steps s ORDER BY step_id DESC LIMIT 1'));
	$self->is_distributed($what);
	$look->($what) if $look;
	$c->query("SELECT rehouse.debug_disarm('$point')");
	$self->make_local;
	return;
}

# Something dies while the mover stands at a point; it gets done when that is back.
sub lose_at
{
	my ($self, $point, $name, $kill, $restore) = @_;
	my $c = $self->coordinator;
	my $what = "$name lost at $point";
	$c->query("SELECT rehouse.debug_arm('$point', 'wait')");
	$self->start($CALL);
	$c->poll("SELECT rehouse.debug_waiting('$point')");
	$kill->();
	$c->try("SELECT rehouse.debug_disarm('$point')");
	$restore->();
	my ($state) = $self->await_move;
	is($state, 'done', "$what: it gets done") or diag($c->query('SELECT s FROM rehouse.job_steps s ORDER BY step_id DESC LIMIT 1'));
	$self->is_distributed($what);
	$self->make_local;
	return;
}

# Cancel the job while its mover stands at a point; everything is as before.
sub cancel_at
{
	my ($self, $point) = @_;
	my $c = $self->coordinator;
	$c->query("SELECT rehouse.debug_arm('$point', 'wait')");
	$self->start($CALL);
	$c->poll("SELECT rehouse.debug_waiting('$point')");
	$c->query('SELECT citus_job_cancel(max(job_id)) FROM rehouse.jobs');
	$c->query("SELECT rehouse.debug_disarm('$point')");
	my ($state) = $self->await_move;
	is($state, 'cancelled', "cancelled at $point");
	$self->is_local("cancelled at $point");
	return;
}

1;
