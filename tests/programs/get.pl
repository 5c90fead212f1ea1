# IP PORT [TIMEOUT]: one GET by IO::Socket::INET, which with a time-out connects without blocking.
use strict;
use warnings;
use IO::Socket::INET;

my ($ip, $port, $timeout) = @ARGV;
my %how = defined $timeout ? (Timeout => $timeout) : ();
my $sock = IO::Socket::INET->new(PeerAddr => $ip, PeerPort => $port, Proto => 'tcp', %how);
if (!$sock) {
	print $! + 0, " $! $@\n";
	exit 1;
}
print $sock "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
print while <$sock>;
