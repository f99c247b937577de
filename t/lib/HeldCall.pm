package HeldCall;

# A call of a function in a session of its own that is held at a debug point while the test looks around.

use strict;
use warnings;

# HeldCall->new(server)
sub new
{
	my ($class, $server) = @_;
	return bless { server => $server }, $class;
}

# Begin a call, and return when it has stopped at the point, if one is named.
sub begin
{
	my ($self, $call, $point) = @_;
	my $server = $self->{server};
	$server->query("SELECT rehouse.debug_arm('$point', 'wait')") if $point;
	$self->{session} = $server->session;
	$self->{session}->send("SELECT $call");
	$server->poll("SELECT rehouse.debug_waiting('$point')") if $point;
	return;
}

# Let it go on, and take what it says.
sub end
{
	my ($self, $point) = @_;
	$self->{server}->query("SELECT rehouse.debug_disarm('$point')") if $point;
	my ($rows, $messages) = $self->{session}->finish;
	$self->{session}->close;
	return $messages // '';
}

sub backend_pid { return $_[0]{session}->backend_pid; }

1;
