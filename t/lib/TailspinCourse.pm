package TailspinCourse;

# docs/tailspin.md, executed as it stands: from one server to four, under the load that
# never stops, with every answer of the page compared and every row accounted for.
#
#   TailspinCourse->new(scale => 0.01)->run(qw(1 2 3 4.1 5 6 7 8 9.1 10));
#
# With cron => 1 pg_cron calls create_orders(20000) every minute beside the load's own
# small batches, as the course does.

use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time sleep);
use FindBin;
use Differential;
use Guide;
use RehouseCluster;

my ($TOP) = grep { -d "$_/bench/tailspin" } "$FindBin::Bin/..", "$FindBin::Bin/../..";
unshift @INC, "$TOP/bench/tailspin";
require Tailspin;

# What is looked at when a section has been run, beside what its page says.
my %AFTER = (
	3 => sub { $_[0]->compare_queries('half distributed') },
	'4.1' => \&keys_hold,
	'4.2' => \&keys_hold,
	5 => sub { $_[0]->compare_queries('distributed') },
	7 => \&third_node_filled,
	8 => \&noisiest_tenant,
	10 => sub { $_[0]->compare_queries('store 5 isolated') });

# By hand these deadlock with writers on any PostgreSQL: with a lock_timeout, and again.
my $BY_HAND = qr/^ALTER TABLE/;

sub new
{
	my ($class, %args) = @_;
	my $self = bless { scale => 0.01, clients => 2, batch => 5, %args }, $class;
	my %large = $self->{scale} >= 0.5 ? (shared_buffers => '1GB', max_wal_size => '8GB') : ();
	my %cron = $self->{cron} ? ('cron.database_name' => 'app', 'cron.use_background_workers' => 'on') : ();
	$self->{cluster} = RehouseCluster->new(workers => 4, extension => 0, worker => {%large},
		coordinator => { shared_preload_libraries => 'pg_stat_statements,rehouse' . ($self->{cron} ? ',pg_cron' : ''),
			'pg_stat_statements.track' => 'all', %large, %cron });
	my $c = $self->{c} = $self->{cluster}->coordinator;
	$self->{twin} = $self->{cluster}->worker(4);
	$self->{twin}->query('CREATE DATABASE twin', database => 'postgres');
	$self->{twin}->query("$_", database => 'twin') for Tailspin::sql_file('schema.sql'), Tailspin::sql_file('keys.sql');
	$c->query('CREATE EXTENSION pg_stat_statements');
	Tailspin::generate($c, scale => $self->{scale});
	$self->{first_order} = $c->query('SELECT max(order_id) + 1 FROM orders');
	$self->{base} = $self->base_rows;
	$c->query(Tailspin::sql_file('load.sql'));
	$self->start_cron if $self->{cron};
	$self->{guide} = { Guide::read_sections("$TOP/docs/tailspin.md") };
	return $self;
}

# Run the sections of these numbers, and what belongs after all of them.
sub run
{
	my ($self, @numbers) = @_;
	$self->start_load;
	for my $number (@numbers)
	{
		my $section = $self->{guide}{$number} or die "the guide has no section $number\n";
		subtest "$number $section->{title}" => sub {
			$self->run_block($_) for @{ $section->{blocks} };
			$AFTER{$number}->($self) if $AFTER{$number};
			$self->wait_for_load;
		};
	}
	$self->stop_load;
	$self->stop_cron if $self->{cron};
	subtest 'in the end' => sub { $self->account };
	return $self;
}

# ------------------------------------------------------------------------
# The load
# ------------------------------------------------------------------------

sub start_load
{
	my ($self) = @_;
	$self->{load} = Tailspin::start_load($self->{c}, dir => $self->{cluster}->dir, name => 'load' . ++$self->{loads},
		have_function => 1, clients => $self->{clients}, batch => $self->{batch});
	return;
}

# The load goes on: some more of its transactions have ended.
sub wait_for_load
{
	my ($self) = @_;
	my %before = $self->{load}->load_figures;
	my $deadline = time + 60;
	until ({ $self->{load}->load_figures }->{transactions} > $before{transactions} + 2)
	{
		return fail('the load goes on') if time > $deadline;
		sleep 0.02;
	}
	return;
}

# No call may have failed, but for a deadlock with what is done by hand.
sub stop_load
{
	my ($self) = @_;
	my $load = delete $self->{load};
	my %figures = $load->stop_load;
	my @errors = grep { !(/40P01/ && $self->{by_hand}) } @{ $figures{errors} };
	is_deeply(\@errors, [], "no statement of the load has failed in $figures{transactions} transactions");
	note(sprintf 'longest transaction of the load %.3f s, mean %.3f s', $figures{longest}, $figures{mean});
	return;
}

sub start_cron
{
	my ($self) = @_;
	$self->{c}->query('CREATE EXTENSION pg_cron');
	$self->{c}->query('CREATE TABLE cron_runs (lines bigint)');
	$self->{c}->query("SELECT cron.schedule('create orders', '* * * * *', 'INSERT INTO cron_runs SELECT create_orders(20000)')");
	return;
}

# Let pg_cron's job rest or go on; returns when none of its runs is under way.
sub cron_active
{
	my ($self, $active) = @_;
	$self->{c}->query("SELECT cron.alter_job(jobid, active := $active) FROM cron.job");
	$self->{c}->poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE query ~ 'create_orders.20000.' AND state = 'active'
		AND pid <> pg_backend_pid()", 't', 300) if $active eq 'false';
	return;
}

sub stop_cron
{
	my ($self) = @_;
	my $c = $self->{c};
	$c->poll("SELECT count(*) > 0 FROM cron.job_run_details WHERE status = 'succeeded'", 't', 180);
	$self->cron_active('false');
	# pg_cron says "job canceled" of a run that is under way when its job is made to rest, though it commits
	my $rested = q{status = 'failed' AND return_message = 'job canceled'};
	is($c->query("SELECT string_agg(return_message, '; ') FROM cron.job_run_details
			WHERE status NOT IN ('succeeded', 'starting', 'running') AND NOT ($rested)"), '', 'no run of pg_cron has failed');
	is($c->query("SELECT r.runs BETWEEN d.succeeded AND d.succeeded + d.rested
			FROM (SELECT count(*) AS runs FROM cron_runs WHERE lines >= 20000) r,
				(SELECT count(*) FILTER (WHERE status = 'succeeded') AS succeeded, count(*) FILTER (WHERE $rested) AS rested
				 FROM cron.job_run_details) d"), 't', 'and the orders of those that have succeeded are there');
	return;
}

# ------------------------------------------------------------------------
# The page
# ------------------------------------------------------------------------

sub run_block
{
	my ($self, $block) = @_;
	my $answer = '';
	for my $statement (@{ $block->{sql} })
	{
		my $sql = $statement =~ s/'10\.0\.0\.1(\d)', 5432/"'127.0.0.1', " . ($self->{cluster}->servers)[$1]->port/ger;
		my ($failed, $shown) = $sql =~ $BY_HAND ? $self->by_hand($sql) : $self->statement($sql);
		$answer .= $shown;
		my $expected_to = ($block->{text} // '') =~ /^ERROR:/;
		ok(!!$failed == !!$expected_to, $sql =~ s/\s+/ /gr) || diag($shown);
	}
	is($answer, $block->{text}, 'answers as the page says') if defined $block->{text};
	return;
}

# One statement in a session of its own: (failed, what it says).
sub statement
{
	my ($self, $sql) = @_;
	my $begin = time;
	my ($status, $rows, $messages) = $self->{c}->try("$sql;");
	note(sprintf '%.1f s  %s', time - $begin, $sql =~ s/\s+/ /gr) if time - $begin > 0.5;
	return ($status, Guide::shown($rows, $messages));
}

# The same for what waits for locks against writers: given up soon, and tried again.
sub by_hand
{
	my ($self, $sql) = @_;
	my $deadline = time + 120;
	$self->{by_hand} = 1;
	while (1)
	{
		my ($failed, $shown) = $self->statement("SET lock_timeout = '1s';\n$sql");
		return ($failed, $shown) if !$failed || $shown !~ /lock timeout|deadlock/ || time > $deadline;
		sleep 0.05;
	}
}

# ------------------------------------------------------------------------
# What is looked at
# ------------------------------------------------------------------------

# The four queries give what a plain server with the same rows gives.
sub compare_queries
{
	my ($self, $when) = @_;
	$self->stop_load;
	$self->cron_active('false') if $self->{cron};
	my ($c, $twin) = @$self{qw(c twin)};
	$twin->query('TRUNCATE stores, products, orders, line_items', database => 'twin');
	for my $table (qw(stores products orders line_items))
	{
		my ($from, $to) = ($c->conninfo, $twin->conninfo('twin'));
		system("$RehouseServer::BIN/psql -X -q -d '$from' -c 'COPY $table TO STDOUT'"
			  . " | $RehouseServer::BIN/psql -X -q -v ON_ERROR_STOP=1 -d '$to' -c 'COPY $table FROM STDIN'") == 0
		  or die "could not copy $table\n";
	}
	$twin->query('ANALYZE', database => 'twin');
	my @sessions = ($c->session(timeout => 600), $twin->session(database => 'twin', timeout => 600));
	note($when);
	Differential::compare(@sessions, { sql => $_ =~ s/;\s*$//r }) for Tailspin::queries();
	$_->close for @sessions;
	$self->cron_active('true') if $self->{cron};
	return $self->start_load;
}

# All five foreign keys are there, valid on every shard, and refuse what breaks them.
sub keys_hold
{
	my ($self) = @_;
	my $c = $self->{c};
	is($c->query("SELECT string_agg(conname || ' ' || convalidated, ', ' ORDER BY conname) FROM pg_constraint
			WHERE contype = 'f' AND conrelid::regclass::text IN ('products', 'orders', 'line_items')"),
		join(', ', map { "${_}_fkey true" } qw(line_items_orders line_items_products line_items_store_id orders_store_id products_store_id)),
		'the foreign keys are there');
	$c->poll("SELECT count(*) = 0 FROM rehouse.nodes n, dblink(format('host=%s port=%s dbname=%L user=postgres',
			n.node_name, n.node_port, n.database_name), \$\$SELECT conrelid::regclass::text FROM pg_constraint
			WHERE contype = 'f' AND NOT convalidated\$\$) d(r text)");
	is($c->query("SELECT count(*), min(n), max(n) FROM rehouse.nodes n, LATERAL dblink(format('host=%s port=%s dbname=%L user=postgres',
			n.node_name, n.node_port, n.database_name), \$\$SELECT nspname, count(*) FROM pg_constraint c
			JOIN pg_namespace s ON s.oid = connamespace WHERE contype = 'f' GROUP BY 1\$\$) d(bucket text, n int)"),
		'32|5|5', 'and five valid ones in each of 32 buckets');
	my ($status, undef, $messages) = $c->try('INSERT INTO line_items (product_id, order_id, quantity, line_amount, store_id)
		VALUES (1, -1, 1, 1, 5)');
	like($messages, qr/23503.*"line_items_(orders|products)_fkey"/s, 'what breaks one is refused');
	return;
}

# The third node has filled by itself, and nobody else has been emptied.
sub third_node_filled
{
	my ($self) = @_;
	my $c = $self->{c};
	my $port = $self->{cluster}->worker(3)->port;
	$c->poll("SELECT count(*) = 0 FROM rehouse.jobs WHERE finished_at IS NULL", 't', 300);
	my $shards = $c->query("SELECT count(*) FROM citus_shards WHERE nodeport = $port");
	cmp_ok($shards, '>', 0, "the third node has $shards shards");
	is($c->query("SELECT count(DISTINCT nodeport) FROM citus_shards"), 3, 'on three nodes');
	return;
}

# Every third order is one of store 5.
sub noisiest_tenant
{
	my ($self) = @_;
	my @rows = split /\n/, $self->{c}->query($self->{guide}{8}{blocks}[0]{sql}[0]);
	like($rows[0], qr/^5\|/, "store 5 makes most of the load: @rows");
	return;
}

# What must be the same at the end: the rows that were there before the load.
sub base_rows
{
	my ($self) = @_;
	my $below = "WHERE order_id < $self->{first_order}";
	return $self->{c}->query("SELECT (SELECT count(*) FROM stores), (SELECT count(*) FROM products),
		(SELECT count(*) FROM orders $below), (SELECT sum(store_id) FROM orders $below),
		(SELECT count(*) FROM line_items $below), (SELECT sum(line_amount) FROM line_items $below),
		(SELECT sum(quantity * product_id) FROM line_items $below)");
}

sub account
{
	my ($self) = @_;
	my $c = $self->{c};
	my ($stores, @differences) = Tailspin::ledger_differences($c, $self->{first_order});
	cmp_ok($stores, '>', 10, 'the load has written to many stores');
	is_deeply(\@differences, [], 'the ledger agrees with the tables, store by store');
	is($self->base_rows, $self->{base}, 'the rows from before are all there, once each');
	my ($status, undef, $messages) = $c->try("CALL t.wait_clean('60 s')");
	is($status, 0, 'nothing is left over on any node') || diag($messages);
	return;
}

1;
