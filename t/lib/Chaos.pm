package Chaos;

# Tailspin under a seeded sequence of accidents, and the proof at the end.
#
#   Chaos->new(seed => 1)->run(30)->end;        # seconds of accidents
#
# The load never stops: create_orders with its ledger, and churn, whose updates
# and deletions have ledgers of their own.  Meanwhile processes are killed,
# servers stopped, sessions cancelled, shards moved, tenants isolated, tables
# altered and truncated.  The seed decides what happens in which order; when is
# the machine's affair, so a seed narrows a search and does not repeat a run.

use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use FindBin;
use RehouseCluster;

BEGIN
{
	my ($bench) = grep { -d } "$FindBin::Bin/../bench/tailspin", "$FindBin::Bin/../../bench/tailspin";
	unshift @INC, $bench;
}
use Tailspin;

# Beside the four tables: counters that are updated, tickets that come and go, rounds
# that a TRUNCATE ends; each with a local ledger.
my $SIDE = <<'SQL';
CREATE TABLE counters (store_id bigint PRIMARY KEY, n bigint NOT NULL DEFAULT 0);
CREATE TABLE tickets (store_id bigint NOT NULL, note text);
CREATE TABLE rounds (store_id bigint NOT NULL, round int NOT NULL);
SELECT create_distributed_table('counters', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('tickets', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('rounds', 'store_id', colocate_with => 'stores');
INSERT INTO counters SELECT i FROM generate_series(1, 442) i;
INSERT INTO tickets SELECT i, 'ticket' FROM generate_series(1, 442) i;
CREATE TABLE counter_ledger (store_id bigint NOT NULL);
CREATE TABLE last_round (round int NOT NULL);
INSERT INTO last_round VALUES (0);
CREATE FUNCTION churn(batch_size int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    the_store bigint;
BEGIN
    FOR i IN 1 .. batch_size LOOP
        the_store := 1 + floor(random() * 442)::bigint;
        UPDATE counters SET n = n + 1 WHERE store_id = the_store;
        INSERT INTO counter_ledger VALUES (the_store);
        DELETE FROM tickets WHERE store_id = the_store;
        INSERT INTO tickets VALUES (the_store, 'ticket');
    END LOOP;
    RETURN batch_size;
END $$;
SQL

# What the accidents may do to a statement: lost connections, shutdowns, being cancelled.
my $ACCIDENT = qr/^(08...|57P0[1235]|57014)$/;
# A connection that is gone, in psql's words, which have no SQLSTATE, or the server's last ones.
my $GONE = qr/WARNING: +57P0[12]:|closed the connection|connection to server|no answer|no connection|did not end in time/;
# Calls by hand may also find things otherwise than they thought: done already, under way, locked.
my $BY_HAND = qr/^(55...|22023|42P07|42704|42710|42701|42703|0A000|40001|40P01|25001|25P02)$/;

sub new
{
	my ($class, %args) = @_;
	my $cluster = RehouseCluster->new(workers => 3,
		coordinator => {
			restart_after_crash => 'on', log_error_verbosity => 'verbose', 'rehouse.step_retry_delay' => '50ms',
			'rehouse.step_attempts' => 50, 'rehouse.node_connection_timeout' => '5s' },
		worker => { restart_after_crash => 'on', log_error_verbosity => 'verbose' });
	my $self = bless { cluster => $cluster, c => $cluster->coordinator, seed => $args{seed} // 1, hands => [], said => [],
		done => [], killed => 0 }, $class;
	srand $self->{seed};
	my $c = $self->{c};
	$cluster->add_nodes(1, 2);
	$c->query("SELECT rehouse.add_reserved_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
	Tailspin::generate($c, scale => 0.001, seed => 1);
	$c->query("SELECT create_distributed_table('stores', 'store_id', shard_count => 6)");
	$c->query("SELECT create_distributed_table('$_', 'store_id', colocate_with => 'stores')") for qw(products orders line_items);
	$c->query($SIDE);
	$self->{first} = $c->query('SELECT max(order_id) + 1 FROM orders');
	$self->{before} = $self->old_rows;
	$self->{loads} = [
		Tailspin::start_load($c, dir => $cluster->dir, batch => 4, clients => 2, pause => 0.03),
		Tailspin::start_load($c, dir => $cluster->dir, name => 'churn', call => 'churn(3)', have_function => 1, clients => 1, pause => 0.03) ];
	$self->await_load(3, 60);
	return $self;
}

# The rows that were there before the load, as one text.
sub old_rows
{
	my ($self) = @_;
	return $self->{c}->query("SELECT (SELECT count(*) || ' ' || sum(store_id) FROM stores), (SELECT count(*) || ' ' || sum(price * store_id) FROM products),"
		  . " (SELECT count(*) || ' ' || sum(order_id * store_id) FROM orders WHERE order_id < $self->{first}),"
		  . " (SELECT count(*) || ' ' || sum(line_item_id * store_id) || ' ' || sum(line_amount) FROM line_items WHERE order_id < $self->{first})");
}

# Transactions of the load that have succeeded.
sub transactions
{
	my ($self) = @_;
	my $sum = 0;
	for my $load (@{ $self->{loads} }) { my %figures = $load->load_figures; $sum += $figures{transactions}; }
	return $sum;
}

# Wait until the load has done so much more, but not for ever: it may be held up by what we did.
sub await_load
{
	my ($self, $more, $timeout) = @_;
	my $wanted = $self->transactions + $more;
	my $deadline = time + $timeout;
	sleep 0.02 until $self->transactions >= $wanted || time > $deadline;
	return;
}

# ---- what is done by hand ----

# Send a command in a session of its own, several at a time; whatever comes of it is looked at later.
sub by_hand
{
	my ($self, $what, $sql) = @_;
	$self->reap;
	return if @{ $self->{hands} } >= 4;
	my $session = eval { $self->{c}->session(timeout => 300) } or return;
	eval { $session->send("SET lock_timeout = '5s';\n$sql") } or return;
	push @{ $self->{hands} }, { what => $what, session => $session };
	return;
}

# Take the answers that have come.
sub reap
{
	my ($self, $wait) = @_;
	my @busy;
	for my $hand (@{ $self->{hands} })
	{
		if (!$wait && $hand->{session}->busy) { push @busy, $hand; next; }
		my (undef, $messages) = eval { $hand->{session}->finish($wait || 1) };
		push @{ $self->{said} }, "$hand->{what}: " . ($@ || $messages =~ s/\s+/ /gr);
		$hand->{session}->close;
	}
	$self->{hands} = \@busy;
	return;
}

sub one_of { return $_[ rand @_ ]; }

sub move
{
	my ($self) = @_;
	my ($status, $rows) = $self->{c}->try("SELECT s.shard_id, b.node_id, n.node_id FROM rehouse.shards s JOIN rehouse.buckets b USING (bucket_id)"
		  . " JOIN rehouse.nodes n ON n.node_id <> b.node_id WHERE s.relation = 'orders'::regclass ORDER BY 1, 2, 3");
	my $move = $status ? undef : one_of(split /\n/, $rows);
	$self->by_hand('move', 'SELECT citus_move_shard_placement(' . join(', ', split /\|/, $move) . ')') if $move;
	return;
}

sub isolate
{
	my ($self) = @_;
	my $tenant = one_of(5, 7, 11, 336);
	my $port = $self->{cluster}->worker(3)->port;
	$self->by_hand('isolate', one_of("SELECT rehouse.isolate_tenant('orders', $tenant, '127.0.0.1', $port)",
		"SELECT isolate_tenant_to_new_shard('orders', $tenant, 'CASCADE')"));
	return;
}

sub release
{
	my ($self) = @_;
	my ($status, $rows) = $self->{c}->try('SELECT DISTINCT isolated_tenant FROM rehouse.buckets WHERE isolated_tenant IS NOT NULL ORDER BY 1');
	my $tenant = $status ? undef : one_of(split /\n/, $rows);
	$self->by_hand('release', "SELECT rehouse.release_tenant('orders', " . ($tenant // 5) . ')');
	return;
}

sub alter
{
	my ($self) = @_;
	my ($table, $name) = (one_of(qw(orders line_items products counters tickets)), 'extra_' . int rand 3);
	$self->by_hand('alter', one_of("ALTER TABLE $table ADD COLUMN IF NOT EXISTS $name int DEFAULT 7",
		"ALTER TABLE $table DROP COLUMN IF EXISTS $name"));
	return;
}

sub index
{
	my ($self) = @_;
	my $table = one_of(qw(orders line_items products));
	$self->by_hand('index', one_of("CREATE INDEX IF NOT EXISTS ${table}_chaos ON $table (store_id)", "DROP INDEX IF EXISTS ${table}_chaos"));
	return;
}

# All rows of a round stand and fall with the truncation of those of the round before.
sub truncate_rounds
{
	my ($self) = @_;
	my $round = ++$self->{round};
	$self->by_hand('truncate', "BEGIN;\nTRUNCATE rounds;\nINSERT INTO rounds SELECT i, $round FROM generate_series(1, 60) i;\n"
		  . "UPDATE last_round SET round = $round;\nCOMMIT");
	return;
}

# ---- accidents ----

sub kill_one
{
	my ($self, $server, $sql, $signal) = @_;
	my ($status, $rows) = $server->try($sql);
	my $pid = $status ? undef : one_of(split /\n/, $rows);
	kill $signal, $pid if $pid;
	return;
}

my $CLIENTS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND datname = current_database() ORDER BY 1";

sub kill_of_ours
{
	my ($self, $role, $signal) = @_;
	$self->kill_one($self->{c}, "SELECT pid FROM rehouse.processes() WHERE role = '$role' ORDER BY 1", $signal);
	return;
}

sub any_worker { return one_of($_[0]{cluster}->workers); }

# name => [weight, what]
my %ACCIDENTS = (
	'mover killed' => [ 3, sub { $_[0]->kill_of_ours('mover', 'KILL') } ],
	'mover terminated' => [ 3, sub { $_[0]->kill_of_ours('mover', 'TERM') } ],
	'keeper killed' => [ 1, sub { $_[0]->kill_of_ours('keeper', 'KILL') } ],
	'keeper terminated' => [ 1, sub { $_[0]->kill_of_ours('keeper', 'TERM') } ],
	'session killed' => [ 2, sub { $_[0]->kill_one($_[0]{c}, $CLIENTS, 'KILL') } ],
	'session terminated' => [ 4, sub { $_[0]->kill_one($_[0]{c}, $CLIENTS, 'TERM') } ],
	'session cancelled' => [ 4, sub { $_[0]->kill_one($_[0]{c}, $CLIENTS, 'INT') } ],
	"worker's backend killed" => [ 2, sub { $_[0]->kill_one($_[0]->any_worker, $CLIENTS, 'KILL') } ],
	"worker's backend terminated" => [ 3, sub { $_[0]->kill_one($_[0]->any_worker, $CLIENTS, 'TERM') } ],
	"worker's walsender terminated" => [ 2, sub { $_[0]->kill_one($_[0]->any_worker, "SELECT pid FROM pg_stat_replication ORDER BY 1", 'TERM') } ],
	'worker restarted' => [ 2, sub { $_[0]->any_worker->restart('immediate') } ],
	'coordinator restarted' => [ 1, sub { $_[0]{c}->restart('immediate') } ],
	'rebalance stopped' => [ 1, sub { $_[0]->by_hand('stop', 'SELECT citus_rebalance_stop()') } ],
	'rebalance started' => [ 2, sub { $_[0]->by_hand('start', 'SELECT citus_rebalance_start()') } ],
	'move' => [ 10, \&move ],
	'isolation' => [ 3, \&isolate ],
	'release' => [ 1, \&release ],
	'table altered' => [ 4, \&alter ],
	'index' => [ 3, \&index ],
	'truncation' => [ 4, \&truncate_rounds ]);

# Accidents for so many seconds, then the servers are left alone.
sub run
{
	my ($self, $seconds) = @_;
	my @names = map { ($_) x $ACCIDENTS{$_}[0] } sort keys %ACCIDENTS;
	my $deadline = time + $seconds;
	while (time < $deadline)
	{
		my $name = one_of(@names);
		my $next = int rand 6;
		push @{ $self->{done} }, sprintf '%.1f %s', $seconds - ($deadline - time), $name;
		$ACCIDENTS{$name}[1]->($self);
		$self->await_load($next, 1.5);
	}
	return $self;
}

# ---- the end ----

# SQLSTATEs of a text of messages; psql's words for a lost connection give none.
sub states { return $_[0] =~ /(?:ERROR|FATAL|PANIC): +([0-9A-Z]{5}):/g; }

sub innocent
{
	my ($text, $by_hand) = @_;
	my @states = states($text);
	return $text =~ $GONE unless @states;
	return !grep { $_ !~ $ACCIDENT && !($by_hand && $_ =~ $BY_HAND) } @states;
}

# Jobs and clean-up come to rest.
sub settle
{
	my ($self) = @_;
	my $c = $self->{c};
	my $unsettled = "SELECT coalesce(string_agg(format('job %s %s %s %s', job_id, kind, state, last_error), '; '), '') FROM rehouse.jobs"
	  . " WHERE state IN ('scheduled', 'running', 'cancelling', 'failing')";
	ok(eval { $c->poll($unsettled, '', 150) }, 'all jobs come to their ends')
	  or diag($@, $c->query('SELECT s FROM rehouse.job_steps s ORDER BY step_id DESC LIMIT 10'));
	my $errors = $c->query("SELECT job_id, last_error FROM rehouse.jobs WHERE last_error ~ 'XX00' UNION ALL SELECT job_id, last_error FROM rehouse.job_steps WHERE last_error ~ 'XX00'");
	is($errors, '', 'no job has met a fault of ours');
	eval { $self->reap(120); 1 } or diag($@);
	my @errors;
	for my $load (@{ $self->{loads} }) { my %figures = $load->stop_load; push @errors, grep { !innocent($_) } @{ $figures{errors} }; }
	is_deeply(\@errors, [], 'no statement of the load has failed but for the accidents');
	my @bad = grep { /(ERROR|FATAL|PANIC):|did not end/ && !innocent($_, 1) } @{ $self->{said} };
	is_deeply(\@bad, [], 'nor a call by hand for a reason of its own');
	my ($status, undef, $messages) = $c->try("CALL t.wait_clean('90 s')");
	is($status, 0, 'nothing is left on any node') or diag($messages);
	return;
}

# The rows against the ledgers, as the coordinator gives them and as they lie in the shards.
sub prove_rows
{
	my ($self) = @_;
	my $c = $self->{c};
	my ($stores, @differences) = Tailspin::ledger_differences($c, $self->{first});
	cmp_ok($stores, '>', 5, "the ledger names $stores stores");
	is_deeply(\@differences, [], 'it agrees with the tables, store by store');
	is($self->old_rows, $self->{before}, 'the rows from before are as they were');
	my $orders = join '|', map { $c->query($_) } "SELECT count(*), count(DISTINCT order_id), sum(order_id * store_id) FROM orders WHERE order_id >= $self->{first}";
	is($orders, $c->query('SELECT count(*), count(DISTINCT order_id), sum(order_id * store_id) FROM order_ledger'), 'each order once');
	for my $table (qw(stores products orders line_items counters tickets rounds))
	{
		is($c->query("SELECT coalesce(sum(row_count), 0) FROM t.shard_rows('$table')"), $c->query("SELECT count(*) FROM $table"), "$table: what lies in the shards is what one sees");
	}
	is($c->query('SELECT string_agg(store_id || \':\' || n, \' \' ORDER BY store_id) FROM counters WHERE n > 0'),
		$c->query('SELECT string_agg(s || \':\' || n, \' \' ORDER BY s) FROM (SELECT store_id, count(*) FROM counter_ledger GROUP BY 1) l (s, n)'), 'each update once');
	is($c->query('SELECT count(*), count(DISTINCT store_id), sum(store_id) FROM tickets'), '442|442|97903', 'each ticket once');
	my $round = $c->query('SELECT round FROM last_round');
	is($c->query('SELECT count(*), count(DISTINCT store_id), coalesce(min(round), 0), coalesce(max(round), 0) FROM rounds'),
		$round ? "60|60|$round|$round" : '0|0|0|0', "the last round ($round), and nothing else");
	return;
}

# Constraints, columns, indexes of every shard.
sub prove_shards
{
	my ($self) = @_;
	my $c = $self->{c};
	my ($orphans, $shards) = ('', '');
	my $shape = "SELECT c.relname || ': ' || (SELECT string_agg(attname || ' ' || atttypid::regtype || ' ' || attnotnull, ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped)"
	  . " || '; ' || coalesce((SELECT string_agg(i.relname, ', ' ORDER BY i.relname) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid WHERE x.indrelid = c.oid), '')"
	  . " || '; ' || coalesce((SELECT string_agg(conname, ', ' ORDER BY conname) FROM pg_constraint k WHERE k.conrelid = c.oid AND contype = 'f'), '')";
	my $tables = "c.relname IN ('stores', 'products', 'orders', 'line_items', 'counters', 'tickets', 'rounds')";
	my $shells = $c->query("$shape FROM pg_class c WHERE relnamespace = 'public'::regnamespace AND $tables ORDER BY c.relname");
	for my $worker ($self->{cluster}->workers)
	{
		for my $schema (split /\n/, $worker->query("SELECT nspname FROM pg_namespace WHERE nspname ~ '^public_' ORDER BY 1"))
		{
			my $seen = $worker->query("$shape FROM pg_class c WHERE relnamespace = '$schema'::regnamespace AND $tables ORDER BY c.relname");
			$shards .= $worker->name . " $schema: $seen\n" if $seen ne $shells;
			$orphans .= "$schema " . $worker->query("SELECT (SELECT count(*) FROM $schema.line_items l WHERE NOT EXISTS (SELECT FROM $schema.orders o WHERE (o.store_id, o.order_id) = (l.store_id, l.order_id)))
				+ (SELECT count(*) FROM $schema.line_items l WHERE NOT EXISTS (SELECT FROM $schema.products p WHERE (p.store_id, p.product_id) = (l.store_id, l.product_id)))
				+ (SELECT count(*) FROM $schema.orders o WHERE NOT EXISTS (SELECT FROM $schema.stores s WHERE s.store_id = o.store_id))") =~ s/^0$//r . "\n";
			$orphans =~ s/^\S+ \n//mg;
		}
		is($worker->query('SELECT count(*) FROM pg_constraint WHERE NOT convalidated'), '0', 'all constraints of ' . $worker->name . ' are valid');
		is($worker->query("SELECT count(*) FROM pg_trigger WHERE tgname = 'rehouse_moved'"), '0', 'and no fence is left');
	}
	is($orphans, '', 'no foreign key is broken');
	is($shards, '', 'every shard has the columns, indexes and keys of its table') or diag("tables:\n$shells");
	return;
}

sub end
{
	my ($self) = @_;
	for my $server ($self->{cluster}->servers) { $server->poll('SELECT true', 't', 90); }
	$self->settle;
	$self->prove_rows;
	$self->prove_shards;
	for my $server ($self->{cluster}->servers)
	{
		my @faults = grep { /PANIC|TRAP:|terminated by signal (?!9)|XX00[0-2]:/ } split /\n/, $server->log_text;
		is_deeply(\@faults, [], 'no fault in the log of ' . $server->name);
	}
	note(scalar @{ $self->{done} }, ' accidents, ', $self->transactions, ' transactions');
	return if Test::More->builder->is_passing;
	diag("seed $self->{seed}:\n", map { "$_\n" } @{ $self->{done} });
	diag("by hand:\n", map { "$_\n" } @{ $self->{said} });
	return;
}

1;
