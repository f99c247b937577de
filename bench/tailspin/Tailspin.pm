package Tailspin;

# Tailspin Toys: its data, its load that never stops, and the proof at the end.
# For the demo, the tests and the benchmarks.

use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time sleep);

my $dir = __FILE__ =~ s{[^/]+$}{}r || './';

sub sql_file
{
	my ($name) = @_;
	open my $file, '<', "$dir$name" or die "$dir$name: $!\n";
	local $/;
	return <$file>;
}

# The four queries, by number.
sub queries
{
	return map { sql_file($_ =~ s{^\Q$dir\E}{}r) } sort glob "${dir}queries/*.sql";
}

# The four tables with their data and keys in a server's database.
sub generate
{
	my ($server, %options) = @_;
	my $seed = $options{seed} // 1;
	$server->query(sql_file('schema.sql'), %options);
	$server->query(sql_file('data.sql'), %options, vars => { scale => $options{scale} // 0.01, seed => $seed });
	$server->query(sql_file('keys.sql'), %options);
	return;
}

# Start the load: clients that call create_orders(batch), or another function of the
# load that answers with a number (call =>), until stop_load, each with a short pause
# between two calls.  Each call's line goes to a file.
sub start_load
{
	my ($server, %options) = @_;
	$server->query(sql_file('load.sql'), %options) unless $options{have_function};
	my $call = $options{call} || 'create_orders(' . ($options{batch} || 20) . ')';
	my $name = $options{name} || 'load';
	my $load = { files => [], pids => [], owner => $$, started => time };
	for my $client (1 .. $options{clients} || 2)
	{
		my $file = "$options{dir}/$name-$client.log";
		my $pid = fork // die "fork: $!\n";
		if (!$pid) { run_client($server, $file, $call, $options{pause} // 0.02); POSIX::_exit(0); }
		push @{ $load->{pids} }, $pid;
		push @{ $load->{files} }, $file;
	}
	return bless $load;
}

sub run_client
{
	my ($server, $file, $call, $pause) = @_;
	my $stop = 0;
	$SIG{TERM} = sub { $stop = 1 };
	open my $log, '>', $file or POSIX::_exit(1);
	$log->autoflush(1);
	my $session;
	my $parent = getppid;
	until ($stop || getppid != $parent)
	{
		$session ||= eval { RehouseSession->new($server, timeout => 600) };
		my $begin = time;
		my ($rows, $messages) = $session ? eval { $session->try("SELECT $call") } : ('', "no connection");
		$messages = $@ if $@;
		my $took = time - $begin;
		my $error = $rows && $rows =~ /^\d+$/ ? '' : ($messages || 'no answer') =~ s/\s+/ /gr;
		printf $log "%.3f\t%.6f\t%s\n", $begin, $took, $error;
		if ($error && $session && $session->{eof}) { $session->close; $session = undef; }
		sleep($error ? 0.2 : $pause) if $pause || $error;
	}
	$session->close if $session;
	return;
}

# What the load has done so far: (transactions =>, errors => [text], longest => seconds,
# mean => seconds), from a time on and until one.
sub load_figures
{
	my ($load, $from, $to) = @_;
	my %figures = (transactions => 0, errors => [], longest => 0, sum => 0, longest_at => 0);
	for my $name (@{ $load->{files} })
	{
		open my $file, '<', $name or next;
		while (my $line = <$file>)
		{
			chomp $line;
			my ($at, $took, $error) = split /\t/, $line, 3;
			next if $from && $at + $took < $from || $to && $at > $to;
			if ($error) { push @{ $figures{errors} }, $error; }
			else { $figures{transactions}++; $figures{sum} += $took; }
			@figures{qw(longest longest_at)} = ($took, $at) if $took > $figures{longest};
		}
	}
	$figures{mean} = $figures{transactions} ? $figures{sum} / $figures{transactions} : 0;
	return %figures;
}

sub stop_load
{
	my ($load) = @_;
	return unless @{ $load->{pids} } && $load->{owner} == $$;
	kill 'TERM', @{ $load->{pids} };
	waitpid $_, 0 for @{ $load->{pids} };
	$load->{pids} = [];
	return load_figures($load);
}

sub DESTROY { local ($?, $@); stop_load($_[0]); return; }

# The ledger against the tables, store by store: rows "store: ledger .., tables .." that
# differ; first_order is the first order that the load made.
sub ledger_differences
{
	my ($server, $first_order, %options) = @_;
	my $ledger = 'SELECT store_id, count(*), sum(lines), sum(amount) FROM order_ledger GROUP BY 1';
	my $tables = "SELECT store_id, count(DISTINCT order_id), count(*), sum(line_amount) FROM line_items
		WHERE order_id >= $first_order GROUP BY 1";
	my $orders = "SELECT store_id, count(*) FROM orders WHERE order_id >= $first_order GROUP BY 1";
	my (%ledger, %tables, %all);
	for my $row (split /\n/, $server->query($ledger, %options))
	{
		my ($store, $orders_n, $lines, $amount) = split /\|/, $row;
		$ledger{$store} = "$orders_n orders, $lines lines, " . ($amount + 0);
	}
	my %orders_of = map { split /\|/ } split /\n/, $server->query($orders, %options);
	for my $row (split /\n/, $server->query($tables, %options))
	{
		my ($store, $with_lines, $lines, $amount) = split /\|/, $row;
		my $orders_n = $orders_of{$store} // 0;
		$tables{$store} = ($orders_n == $with_lines ? $orders_n : "$orders_n ($with_lines with lines)")
		  . " orders, $lines lines, " . ($amount + 0);
	}
	$tables{$_} //= "$orders_of{$_} orders without lines" for keys %orders_of;
	@all{ keys %ledger, keys %tables } = ();
	my @differences = map { "store $_: ledger " . ($ledger{$_} // 'none') . '; tables ' . ($tables{$_} // 'none') }
	  grep { ($ledger{$_} // '') ne ($tables{$_} // '') } sort { $a <=> $b } keys %all;
	return (scalar(keys %all), @differences);
}

1;
