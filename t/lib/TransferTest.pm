package TransferTest;

# A bucket under load, moved with an accident at a debug point: what the tests
# of transfers share.
#
#   my $test = TransferTest->new;                    # partitioned => 1: the tables are
#   $test->move_with('transfer-slot', 'fatal');      # several tests each
#   $test->end;
#
# The load never stops: a child process writes through the coordinator, in
# transactions over three distributed tables (with a primary key, without any
# key, with a foreign key) and a local ledger.  After each accident the job must
# come to its end by itself, the rows must be those of the ledger, and nothing
# may be left on any node.

use strict;
use warnings;
use POSIX ();
use Test::More;
use Time::HiRes qw(time sleep);
use RehouseCluster;

my $TABLES = <<'SQL';
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE a (k int, id bigint, n numeric, m mood, big text, PRIMARY KEY (k, id));
CREATE TABLE b (k int NOT NULL, id bigint, t text, f float8);
CREATE INDEX ON b (k, id);
CREATE TABLE c (k int, id bigint, PRIMARY KEY (k, id), FOREIGN KEY (k, id) REFERENCES a);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER nothing BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE ledger (k int, id bigint PRIMARY KEY);
CREATE SEQUENCE ids;
SQL

# The same tables, partitioned: by a range of the key's other column, with the
# columns of partitions in other orders; without any key, so that rows go from
# partition to partition; and one that references the first.
my $PARTITIONED = <<'SQL';
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE a (k int, id bigint, n numeric, m mood, big text, PRIMARY KEY (k, id)) PARTITION BY RANGE (id);
CREATE TABLE a_negative PARTITION OF a FOR VALUES FROM (MINVALUE) TO (0);
CREATE TABLE a_first (big text, gone int, m mood, n numeric, id bigint NOT NULL, k int NOT NULL, CONSTRAINT "first's key" PRIMARY KEY (k, id));
ALTER TABLE a_first DROP COLUMN gone;
ALTER TABLE a ATTACH PARTITION a_first FOR VALUES FROM (0) TO (150);
CREATE TABLE a_rest PARTITION OF a DEFAULT PARTITION BY HASH (k);
CREATE TABLE a_rest_0 PARTITION OF a_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE a_rest_1 PARTITION OF a_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE b (k int NOT NULL, id bigint, t text, f float8) PARTITION BY LIST (t);
CREATE TABLE b_new PARTITION OF b FOR VALUES IN ('new');
CREATE TABLE b_rest PARTITION OF b DEFAULT;
CREATE INDEX ON b (k, id);
CREATE TABLE c (k int, id bigint, PRIMARY KEY (k, id), FOREIGN KEY (k, id) REFERENCES a) PARTITION BY HASH (id);
CREATE TABLE c_0 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE c_1 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER nothing BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE ledger (k int, id bigint PRIMARY KEY);
CREATE SEQUENCE ids;
SQL

my $DISTRIBUTE = <<'SQL';
SELECT create_distributed_table('a', 'k', shard_count => 2);
SELECT create_distributed_table('b', 'k', colocate_with => 'a');
SELECT create_distributed_table('c', 'k', colocate_with => 'a');
SQL

# One transaction of the load.
sub transaction
{
	my $k = 1 + int rand 20;
	return <<"SQL";
BEGIN;
SELECT pg_advisory_xact_lock_shared(7), pg_sleep(0.01);    -- the load is to be steady, not heavy
SELECT nextval('ids') AS id \\gset
INSERT INTO a VALUES ($k, :id, 0, 'sad', repeat(md5(random()::text), 1 + (random() * 100)::int));
INSERT INTO b VALUES ($k, :id, 'new', 0.1);
INSERT INTO b VALUES ($k, :id, 'new', 0.1);
INSERT INTO c VALUES ($k, :id);
UPDATE b SET t = 'upd' WHERE k = $k AND id = :id;
UPDATE a SET n = :id, m = 'happy' WHERE k = $k AND id = :id;
INSERT INTO a VALUES ($k, -:id, 0, 'sad', NULL);
DELETE FROM a WHERE k = $k AND id = -:id;
INSERT INTO ledger VALUES ($k, :id);
COMMIT;
SQL
}

sub new
{
	my ($class, %args) = @_;
	my $cluster = RehouseCluster->new(workers => 2, coordinator => {
		'rehouse.auto_rebalance' => 'off',
		'rehouse.step_retry_delay' => '20ms',
		restart_after_crash => 'on', %{ $args{coordinator} || {} } })->add_nodes;
	my $self = bless { cluster => $cluster, coordinator => $cluster->coordinator,
		errors => $cluster->dir . '/load-errors', stop => $cluster->dir . '/load-stop' }, $class;
	$self->{coordinator}->query($args{partitioned} ? $PARTITIONED : $TABLES);
	$self->{coordinator}->query($DISTRIBUTE) unless $args{local};
	$self->start_load;
	$self->{coordinator}->poll('SELECT count(*) > 20 FROM ledger');
	return $self;
}

sub coordinator { $_[0]{coordinator} }
sub cluster { $_[0]{cluster} }

# ---- the load ----

sub start_load
{
	my ($self) = @_;
	$self->{load} = fork // die "fork: $!\n";
	return if $self->{load};
	$SIG{TERM} = 'DEFAULT';
	open my $errors, '>', $self->{errors} or POSIX::_exit(1);
	$errors->autoflush(1);
	my $session;
	until (-e $self->{stop})
	{
		$session ||= eval { $self->{coordinator}->session };
		if (!$session) { sleep 0.05; next; }
		my (undef, $messages) = eval { $session->try(transaction()) };
		my $failed = $@ || $messages // '';
		if ($session->{eof} && $failed eq '') { $session = undef; next; }
		next unless $failed =~ /ERROR|FATAL|PANIC|lost|terminat|did not end/;
		# whom the server's crash met is not the transfer's fault
		print $errors "$failed\n"
		  unless $failed =~ /57P0[123]|08006|08P01|terminat|closed the connection|connection to (?:the )?server was lost|no connection to the server|not accepting|recovery mode|shutting down/;
		$session = undef;
	}
	$session->close if $session;
	POSIX::_exit(0);
}

sub stop_load
{
	my ($self) = @_;
	return unless $self->{load};
	open my $stop, '>', $self->{stop};
	waitpid $self->{load}, 0;
	$self->{load} = undef;
	return;
}

# Statements of the load that have failed, but for those of a server that crashed.
sub load_errors
{
	my ($self) = @_;
	open my $file, '<', $self->{errors} or return '';
	local $/;
	return <$file> // '';
}

# ---- looking ----

# "port schema" of each copy in use of the load's buckets
sub places
{
	my ($self) = @_;
	return split /\n/, $self->{coordinator}->query(
		"SELECT node_port || ' public_' || bucket_id || CASE WHEN generation > 0 THEN '_' || generation ELSE '' END"
		  . ' FROM rehouse.buckets JOIN rehouse.nodes USING (node_id) JOIN rehouse.shards USING (bucket_id)'
		  . " WHERE relation = 'a'::regclass ORDER BY bucket_id");
}

# The sums over all copies in use: what the ledger must give, too.
sub sums_of_shards
{
	my ($self) = @_;
	my @sums = (0) x 6;
	for my $place ($self->places)
	{
		my ($port, $schema) = split ' ', $place;
		my ($worker) = grep { $_->port == $port } $self->{cluster}->workers;
		my @row = split /\|/, $worker->query(
			"SELECT (SELECT count(*) FROM $schema.a), (SELECT coalesce(sum(n), 0) FROM $schema.a WHERE m = 'happy' AND n = id),"
			  . " (SELECT count(*) FROM $schema.b), (SELECT coalesce(sum(id), 0) FROM $schema.b WHERE t = 'upd'),"
			  . " (SELECT count(*) FROM $schema.c), (SELECT coalesce(sum(id), 0) FROM $schema.c JOIN $schema.a USING (k, id))");
		$sums[$_] += $row[$_] for 0 .. 5;
	}
	return join '|', @sums;
}

sub sums_of_ledger
{
	my ($self) = @_;
	return $self->{coordinator}->query(
		'SELECT count(*), sum(id), 2 * count(*), 2 * sum(id), count(*), sum(id) FROM ledger');
}

# The rows, with the load held up for the moment.
sub rows_are_right
{
	my ($self, $what) = @_;
	my $hold = $self->{coordinator}->session;
	$hold->query('SELECT pg_advisory_lock(7)');
	my $right = is($self->sums_of_shards, $self->sums_of_ledger, "$what: no row lost or doubled");
	$hold->close;
	return $right;
}

sub placement
{
	my ($self, $bucket) = @_;
	return split /\|/, $self->{coordinator}->query(
		"SELECT node_id, generation FROM rehouse.buckets WHERE bucket_id = $bucket");
}

# ---- moving ----

# Call a function that makes a job.  The call itself may end with the crash that
# is meant.
sub start
{
	my ($self, $call) = @_;
	my $c = $self->{coordinator};
	$self->{last_job} = $c->query('SELECT coalesce(max(job_id), 0) FROM rehouse.jobs');
	$self->{mover} = $c->session;
	$self->{mover}->send("SELECT $call");
	return;
}

# Ask for a move of the first bucket to the other node; returns the target's id.
sub start_move
{
	my ($self) = @_;
	my $c = $self->{coordinator};
	my ($shard, $source, $target) = split /\|/, $c->query(
		'SELECT shard_id, node_id, 3 - node_id FROM rehouse.buckets JOIN rehouse.shards USING (bucket_id)'
		  . ' ORDER BY bucket_id, shard_id LIMIT 1');
	$self->start("citus_move_shard_placement($shard, $source, $target)");
	return $target;
}

# What goes on on all servers, for a move that does not end.
sub who_waits
{
	my ($self) = @_;
	my $activity = q{SELECT string_agg(concat_ws(' ', pid, application_name, state, wait_event_type, wait_event, pg_blocking_pids(pid)::text, left(query, 150)), E'\n')}
	  . q{ FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL};
	return join "\n", map { ($_->name, ($_->try($activity))[1] // '', ($_->try('SELECT p FROM pg_prepared_xacts p'))[1] // '') }
	  $self->{coordinator}, $self->{cluster}->workers;
}

# The move that was asked for has ended; (state, attempts) of its step.
sub await_move
{
	my ($self) = @_;
	my $c = $self->{coordinator};
	my $ended = "SELECT state IN ('finished', 'failed', 'cancelled') FROM rehouse.jobs WHERE job_id > $self->{last_job}";
	if (!eval { $c->poll($ended) })
	{
		my (undef, $state) = $c->try('SELECT s FROM rehouse.job_steps s ORDER BY step_id DESC LIMIT 1');
		diag($self->who_waits);
		die "the move does not end: $state\n";
	}
	eval { $self->{mover}->finish };
	$self->{mover} = undef;
	return split /\|/, $c->query('SELECT state, attempts FROM rehouse.job_steps ORDER BY step_id DESC LIMIT 1');
}

# Nothing may be left on any node, by name.
sub nothing_left
{
	my ($self, $what) = @_;
	# the load's own branches come and go
	my $things = q{SELECT coalesce(string_agg(l, E'\n'), '') FROM t.leftovers() l WHERE l !~ 'commit decision|prepared transaction'};
	my $left = eval { $self->{coordinator}->poll($things, '') } ? '' : $self->{coordinator}->query($things);
	is($left, '', "$what: nothing is left on any node");
	for my $worker ($self->{cluster}->workers)
	{
		my $left = $worker->query(
			"SELECT 'trigger ' || tgrelid::regclass FROM pg_trigger WHERE tgname = 'rehouse_moved'"
			  . " UNION ALL SELECT 'identity ' || oid::regclass FROM pg_class WHERE relkind = 'r' AND relreplident <> 'd' AND relnamespace <> 'pg_catalog'::regnamespace"
			  . " UNION ALL SELECT 'options ' || oid::regclass || reloptions::text FROM pg_class WHERE relkind = 'r' AND reloptions::text ~ 'autovacuum'"
			  . " UNION ALL SELECT 'not valid ' || conname FROM pg_constraint WHERE NOT convalidated"
			  . " UNION ALL SELECT 'progress ' || transfer FROM rehouse.progress");
		is($left, '', "$what: nothing is left inside the tables of " . $worker->name);
	}
	return;
}

# Move with a point armed; the job must get done in spite of it.
sub move_with
{
	my ($self, $point, $action) = @_;
	my $c = $self->{coordinator};
	my $what = "$action at $point";
	$c->query("SELECT rehouse.debug_arm('$point', '$action')");
	my $target = $self->start_move;
	my ($state) = $self->await_move;
	is($state, 'done', "$what: the move gets done")
	  or diag($c->query('SELECT s FROM rehouse.job_steps s ORDER BY step_id DESC LIMIT 1'));
	my ($node) = $c->query('SELECT node_id FROM rehouse.buckets ORDER BY bucket_id LIMIT 1');
	is($node, $target, "$what: the bucket is where it should be");
	$self->nothing_left($what);
	$self->rows_are_right($what);
	$c->query("SELECT rehouse.debug_disarm('$point')");
	return;
}

# Stop the load; no statement of it may have failed.
sub end
{
	my ($self) = @_;
	$self->stop_load;
	is($self->load_errors, '', 'no statement of the load has failed');
	my ($status, undef, $messages) = $self->{coordinator}->try("SELECT recover_prepared_transactions(); CALL t.wait_clean('30 s')");
	ok($status == 0, 'no branch is left undecided') or diag($messages);
	$self->rows_are_right('at the end');
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@);
	if ($self->{load} && $self->{cluster}{owner} == $$) { kill 'TERM', $self->{load}; waitpid $self->{load}, 0; }
	return;
}

1;
