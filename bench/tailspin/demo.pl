#!/usr/bin/perl
# The demo: Tailspin Toys goes from one server to four while its load runs.
# Called by scripts/demo, unprivileged; REHOUSE_INST and REHOUSE_WORK are set.
#
# Ends with status 1 when a statement of the load failed, a row is missing or
# doubled, or something is left on a node.

use strict;
use warnings;
use utf8;
use FindBin;
use lib "$FindBin::Bin", "$FindBin::Bin/../../t/lib";
use Getopt::Long;
use Time::HiRes qw(time sleep);
use RehouseCluster;
use Screen;
use Tailspin;

my ($scale, $seed, $keep, $clients, $batch) = (0.05, 1, 0, 2, 20);
GetOptions('scale=s' => \$scale, 'seed=i' => \$seed, 'keep' => \$keep, 'clients=i' => \$clients, 'batch=i' => \$batch)
  or exit 2;
$scale = $1 / $2 if $scale =~ m{^([\d.]+)/([\d.]+)$};
die "--scale is a number above 0, such as 0.05 or 1/20\n" unless $scale =~ /^[\d.]+(e-?\d+)?$/ && $scale > 0;

my $screen = Screen->new;
my $work = $ENV{REHOUSE_WORK};
my ($cluster, $coordinator, $monitor, $load, $first_order, $base);
my @bad;        # what went wrong
my @timeline;   # what was done: [name, begin, end]

RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d ($ENV{REHOUSE_TEMPLATE} //= "$work/template");
eval { run(); 1 } or push @bad, "$@";
if (@bad) { $screen->say('', map { $screen->bad('FAILED: ' . shortened($_)) } @bad); }
else { $screen->say('', $screen->good('All is well.')); }
leave_running() if $keep && $cluster;
exit(@bad ? 1 : 0);

# The first lines of a long message.
sub shortened
{
	my ($text) = @_;
	my @lines = split /\n/, $text;
	splice @lines, 12, @lines - 14, '..' if @lines > 15;
	return join "\n" . ' ' x 14, map { length > 300 ? substr($_, 0, 300) . ' ..' : $_ } @lines;
}

sub run
{
	start_server();
	make_data();
	start_load();
	add_workers();
	distribute();
	my @before = picture();
	add_third();
	add_reserved();
	isolate();
	prove(\@before);
	return;
}

# Do something, show it and the time it took, and remember when it was.
sub timed
{
	my ($name, $code) = @_;
	my $begin = time;
	my $result = $code->();
	my $end = time;
	push @timeline, [ $name, $begin, $end ];
	return ($result, $end - $begin);
}

sub start_server
{
	$screen->step('One PostgreSQL server, and stock workers beside it');
	my ($made, $seconds) = timed('start', sub {
		RehouseCluster->new(workers => 4, dir => "$work/demo", database => 'tailspin', extension => 0,
			coordinator => { shared_buffers => '256MB' }, worker => { shared_buffers => '256MB' }) });
	$cluster = $made;
	$coordinator = $cluster->coordinator;
	$screen->table([ 'server', 'address', '' ],
		[ 'coordinator', '127.0.0.1:' . $coordinator->port, 'has the extension' ],
		map { [ "worker $_", '127.0.0.1:' . $cluster->worker($_)->port, $_ > 2 ? 'joins later' : '' ] } 1 .. 4);
	return;
}

sub make_data
{
	$screen->step("Tailspin Toys, seed $seed, at scale $scale");
	my (undef, $seconds) = timed('data', sub { Tailspin::generate($coordinator, scale => $scale, seed => $seed) });
	my @rows = map { [ $_, Screen::number(scalar $coordinator->query("SELECT count(*) FROM $_")),
			Screen::bytes(scalar $coordinator->query("SELECT pg_total_relation_size('$_')")) ] } tables();
	$screen->table([ 'table', 'rows', 'size' ], @rows);
	$base = base_rows();
	$first_order = $coordinator->query('SELECT max(order_id) + 1 FROM orders');
	return;
}

sub tables { return qw(stores products orders line_items); }

# What must be the same at the end: the rows that were there before the load.
sub base_rows
{
	my $below = defined $first_order ? "WHERE order_id < $first_order" : '';
	return $coordinator->query("SELECT (SELECT count(*) FROM stores), (SELECT count(*) FROM products),
		(SELECT count(*) FROM orders $below), (SELECT sum(store_id) FROM orders $below),
		(SELECT count(*) FROM line_items $below), (SELECT sum(line_amount) FROM line_items $below),
		(SELECT sum(quantity * product_id) FROM line_items $below)");
}

sub start_load
{
	$screen->step("The load begins: $clients clients, create_orders($batch) without end");
	$load = Tailspin::start_load($coordinator, dir => $work, clients => $clients, batch => $batch);
	$coordinator->poll('SELECT count(*) > 0 FROM order_ledger');
	return;
}

sub add_workers
{
	$screen->step('CREATE EXTENSION rehouse, and two workers');
	timed('extension', sub { $coordinator->query('CREATE EXTENSION rehouse') });
	timed('add worker 1', sub { add_node('citus_add_node', 1) });
	timed('add worker 2', sub { add_node('citus_add_node', 2) });
	return;
}

sub add_node
{
	my ($function, $number) = @_;
	my $call = "SELECT $function('127.0.0.1', " . $cluster->worker($number)->port . ')';
	$screen->say($screen->dim($call));
	return $coordinator->query($call);
}

sub distribute
{
	$screen->step('Distribute by store: writes wait for a moment, reads never');
	my (undef, undef, $messages) = $coordinator->try("SELECT create_distributed_table('orders', 'store_id')", args => [ '-v', 'VERBOSITY=default' ]);
	$screen->say('in the wrong order it says why not:',
		map { "    $_" } grep { /^(ERROR|DETAIL|HINT)/ } map { s/^psql:\S+ //r } split /\n/, $messages);
	for my $table (tables())
	{
		my $other = $table eq 'stores' ? '' : ", colocate_with => 'stores'";
		my $call = "SELECT create_distributed_table('$table', 'store_id'$other)";
		my (undef, $seconds) = timed("distribute $table", sub { $coordinator->query($call) });
		$screen->say(sprintf '%s  %.1f s', $screen->dim($call), $seconds);
	}
	$coordinator->query("SELECT truncate_local_data_after_distributing_table('stores')");
	$screen->table([ 'table', 'key', 'shards', 'size' ],
		map { [ split /\|/ ] } split /\n/, $coordinator->query(
			'SELECT table_name, distribution_column, shard_count, table_size FROM citus_tables ORDER BY table_name::text'));
	return;
}

sub add_third
{
	$screen->step('A third node is added, and fills by itself');
	my $last_job = $coordinator->query('SELECT coalesce(max(job_id), 0) FROM rehouse.jobs');
	timed('rebalance', sub {
		add_node('citus_add_node', 3);
		follow("SELECT job_id FROM rehouse.jobs WHERE job_id > $last_job AND kind = 'rebalance'");
	});
	return;
}

sub add_reserved
{
	$screen->step('A reserved node is added: nothing goes there unasked');
	timed('add worker 4', sub { add_node('rehouse.add_reserved_node', 4) });
	return;
}

sub isolate
{
	$screen->step('Store 5, the largest tenant, gets a node of its own');
	my $call = "SELECT rehouse.isolate_tenant('orders', 5)";
	my $last_job = $coordinator->query('SELECT coalesce(max(job_id), 0) FROM rehouse.jobs');
	$screen->say($screen->dim($call));
	timed('isolate store 5', sub {
		my $session = $coordinator->session(timeout => 3600);
		$session->send($call);
		follow("SELECT job_id FROM rehouse.jobs WHERE job_id > $last_job AND kind = 'isolate'", sub { !$session->busy });
		my ($rows, $messages) = $session->finish;
		die "$call: $messages\n" unless $rows =~ /^\d+$/;
		$session->close;
	});
	return;
}

# Show a job's transfers until it has ended.  $ended tells of a call that may end
# without ever making a job.
sub follow
{
	my ($which, $ended) = @_;
	my ($job, %shown);
	my $deadline = time + 120 + 3600 * $scale;
	while (1)
	{
		$job ||= ask("$which ORDER BY job_id LIMIT 1");
		return if !$job && $ended && $ended->();
		if ($job)
		{
			my $state = ask("SELECT state || '|' || coalesce(last_error, '') FROM rehouse.jobs WHERE job_id = $job");
			show_steps($job, \%shown, $state =~ /^(finished|failed|cancelled)/);
			die "job $job: $state\n" if $state =~ /^(failed|cancelled)/;
			return if $state =~ /^finished/;
		}
		die "the job did not end in time\n" if time > $deadline;
		sleep 0.2;
	}
}

# One line for each transfer: those that ended stay, those under way are drawn over.
sub show_steps
{
	my ($job, $shown, $last) = @_;
	my %nodes = node_names();
	my @now;
	my $count = 0;
	for my $row (split /\n/, ask(
		"SELECT s.step_id, s.kind, s.state, coalesce(p.phase, s.phase, ''), s.bucket_id, s.source_node, s.target_node,
			greatest(s.bytes_done, p.bytes_done), coalesce(s.bytes_total, p.bytes_total), round(s.pause_ms::numeric, 1),
			round(extract(epoch FROM coalesce(s.finished_at, clock_timestamp()) - s.started_at)::numeric, 1)
		 FROM rehouse.job_steps s LEFT JOIN rehouse.processes() p ON p.step_id = s.step_id
		 WHERE s.job_id = $job AND s.state NOT IN ('waiting', 'cancelled') ORDER BY s.step_id"))
	{
		my ($step, $kind, $state, $phase, $bucket, $from, $to, $done, $total, $pause, $seconds) = split /\|/, $row;
		next if $shown->{$step};
		my $what = sprintf '%-7s %s  %s to %s', $kind, $bucket, $nodes{$from} // $from, $nodes{$to} // $to;
		if ($state eq 'done')
		{
			$shown->{$step} = 1;
			$screen->clear;
			$screen->say(sprintf '%s  %s %9s  %6.1f s  pause %s ms', $what, $screen->bar(1, 20), Screen::bytes($done), $seconds || 0, $pause);
			next;
		}
		push @now, sprintf '%s  %s %9s  %s', $what, $screen->bar($total ? $done / $total : 0, 20), Screen::bytes($done), $state eq 'running' ? $phase : $state;
	}
	my %figures = $load->load_figures;
	push @now, $screen->dim(sprintf 'load: %s transactions, errors: %d, longest wait %.2f s',
		Screen::number($figures{transactions}), scalar @{ $figures{errors} }, $figures{longest});
	$last ? $screen->clear : $screen->draw(@now);
	return;
}

sub node_names
{
	my %number = map { $cluster->worker($_)->port => "worker $_" } 1 .. 4;
	return map { my ($id, $port) = split /\|/; $id => $number{$port} // "port $port" }
	  split /\n/, ask('SELECT node_id, node_port FROM rehouse.nodes');
}

# Ask in one session that stays open: a psql for each look would take the load's time.
sub ask
{
	my ($sql) = @_;
	$monitor ||= $coordinator->session;
	return $monitor->query($sql);
}

# Where every bucket is: one row per node, one cell per bucket, as high as it is large.
sub picture
{
	my %nodes = node_names();
	my (%cells, %sizes, %tenant);
	my $largest = 1;
	for my $row (split /\n/, $coordinator->query(
		"SELECT b.node_id, b.bucket_id, sum(c.shard_size), max(b.isolated_tenant)
		 FROM rehouse.buckets b JOIN rehouse.shards s USING (bucket_id) JOIN citus_shards c ON c.shardid = s.shard_id
		 GROUP BY 1, 2, b.hash_min ORDER BY 1, b.hash_min"))
	{
		my ($node, $bucket, $size, $tenant) = split /\|/, $row;
		push @{ $cells{$node} }, [ $size, $tenant ];
		$sizes{$node} += $size;
		$tenant{$node} = $tenant if $tenant ne '';
		$largest = $size if $size > $largest;
	}
	my @lines;
	for my $node (sort { $nodes{$a} cmp $nodes{$b} } keys %nodes)
	{
		my @all = @{ $cells{$node} || [] };
		my $blocks = join '', map { my $b = $screen->block($_->[0] / $largest); $_->[1] ne '' ? $screen->colour(33, $b) : $screen->colour(36, $b) } @all;
		push @lines, sprintf '%-9s %2d bucket%s %9s  %s%s', $nodes{$node}, scalar @all, @all == 1 ? ' ' : 's',
		  Screen::bytes($sizes{$node} // 0), $blocks, defined $tenant{$node} ? "  store $tenant{$node} alone" : '';
	}
	return @lines;
}

sub prove
{
	my ($before) = @_;
	$screen->step('The load ends; what has happened');
	my %figures = $load->stop_load;
	$screen->say('', $screen->bold('The map before'), @$before, '', $screen->bold('The map after'), picture());

	my %nodes = node_names();
	my @rows;
	for my $row (split /\n/, $coordinator->query(
		"SELECT s.kind, s.bucket_id, s.source_node, s.target_node, s.bytes_done,
			round(extract(epoch FROM s.finished_at - s.started_at)::numeric, 1), round(s.pause_ms::numeric, 1),
			extract(epoch FROM s.started_at), extract(epoch FROM s.finished_at)
		 FROM rehouse.job_steps s WHERE s.state = 'done' ORDER BY s.step_id"))
	{
		my ($kind, $bucket, $from, $to, $bytes, $seconds, $pause, $begin, $end) = split /\|/, $row;
		my %during = $load->load_figures($begin, $end);
		push @rows, [ $kind, $bucket, $nodes{$from} // $from, $nodes{$to} // $to, Screen::bytes($bytes), "$seconds s", "$pause ms",
			$during{transactions}, sprintf('%.2f s', $during{longest}) ];
	}
	$screen->say('', $screen->bold('Each transfer, and the load meanwhile'));
	$screen->table([ 'what', 'bucket', 'from', 'to', 'bytes', 'time', 'pause', 'transactions', 'longest' ], @rows);
	push @bad, 'nothing was moved' unless grep { $_->[0] eq 'move' } @rows;
	push @bad, 'no tenant was isolated' unless grep { $_->[0] eq 'isolate' } @rows;

	prove_load(%figures);
	prove_rows();
	prove_clean();
	return;
}

sub prove_load
{
	my (%figures) = @_;
	my $errors = @{ $figures{errors} };
	my ($during) = grep { $figures{longest_at} < $_->[2] && $figures{longest_at} + $figures{longest} > $_->[1] } reverse @timeline;
	$screen->say('', $screen->bold('The load'),
		sprintf('transactions  %s, of %d orders each', Screen::number($figures{transactions}), $batch),
		'errors: ' . ($errors ? $screen->bad($errors) : $screen->good(0)),
		sprintf('longest wait  %.2f s%s; mean %.3f s', $figures{longest}, $during ? " ($during->[0])" : '', $figures{mean}));
	push @bad, map { "the load: $_" } @{ $figures{errors} }[ 0 .. ($errors > 5 ? 4 : $errors - 1) ];
	push @bad, 'the load did nothing' unless $figures{transactions};
	return;
}

# The ledger, written locally with each order, against the shards.
sub prove_rows
{
	my ($stores, @differences) = Tailspin::ledger_differences($coordinator, $first_order);
	$screen->say('', $screen->bold('The ledger against the shards, store by store'));
	$screen->table([ 'store', 'ledger: orders', 'lines', 'amount', 'shards: orders', 'lines', 'amount' ],
		map { [ split /\|/ ] } split /\n/, $coordinator->query(
			"SELECT l.*, o.n, i.n, i.amount FROM
			 (SELECT store_id, count(*), sum(lines), sum(amount) FROM order_ledger GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 6) l
			 LEFT JOIN (SELECT store_id, count(*) AS n FROM orders WHERE order_id >= $first_order GROUP BY 1) o USING (store_id)
			 LEFT JOIN (SELECT store_id, count(*) AS n, sum(line_amount) AS amount FROM line_items WHERE order_id >= $first_order GROUP BY 1) i USING (store_id)
			 ORDER BY 2 DESC, 1"));
	my $differ = @differences;
	$screen->say("$stores stores compared, differences: " . ($differ ? $screen->bad($differ) : $screen->good(0)));
	push @bad, @differences[ 0 .. ($differ > 5 ? 4 : $differ - 1) ];
	my $now = base_rows();
	$screen->say('rows from before the load: ' . ($now eq $base ? $screen->good('all there, once each') : $screen->bad('not the same')));
	push @bad, "the first rows were $base, are $now" if $now ne $base;
	return;
}

# When the keeper has tidied up, nothing is on the nodes that no placement owns.
sub prove_clean
{
	my ($status, undef, $messages) = $coordinator->try("CALL t.wait_clean('60 s')");
	$screen->say('left over on the nodes: ' . ($status ? $screen->bad($messages) : $screen->good('nothing')));
	push @bad, $messages if $status;
	return;
}

# Leave the servers to the user, with a script that ends them.
sub leave_running
{
	my @pids = map { $_->{pid} } $cluster->servers;
	open my $stop, '>', "$work/stop" or die "$work/stop: $!\n";
	print $stop "#!/bin/sh\n# Stop the demo's servers and remove their directory.\nkill -INT @pids\n",
	  "while kill -0 @pids 2>/dev/null; do sleep 0.2; done\nrm -rf '$work'\n";
	close $stop;
	chmod 0755, "$work/stop";
	$cluster->abandon;
	$screen->say('', 'The cluster is up:', $screen->bold('    psql "' . $coordinator->conninfo('tailspin') . '"'), 'and ends with', "    $work/stop");
	return;
}
