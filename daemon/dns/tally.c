#include "daemon/dns/tally.h"

#include "daemon/counters.h"

void crow_tally_reply(const struct crow_reply *reply)
{
	switch (reply->rcode) {
	case CROW_RCODE_NOERROR:
		crow_count(dns_noerror);
		if (reply->answers == 0 && !reply->truncated)
			crow_count(dns_nodata);
		break;
	case CROW_RCODE_FORMERR:
		crow_count(dns_formerr);
		break;
	case CROW_RCODE_SERVFAIL:
		crow_count(dns_servfail);
		break;
	case CROW_RCODE_NXDOMAIN:
		crow_count(dns_nxdomain);
		break;
	case CROW_RCODE_NOTIMP:
		crow_count(dns_notimp);
		break;
	case CROW_RCODE_REFUSED:
		crow_count(dns_refused);
		break;
	case CROW_RCODE_BADVERS:
		crow_count(dns_badvers);
		break;
	}
	if (reply->truncated)
		crow_count(dns_truncated);
}
