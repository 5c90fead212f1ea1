#include "daemon/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"

static bool become(const struct passwd *entry)
{
	/* Groups first: without root they cannot be changed any more. */
	return setgroups(0, NULL) == 0 &&
	       setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) == 0 &&
	       setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) == 0;
}

bool crow_privilege_drop(const char *user, const char *runtime_dir, const char *state_dir,
			 char *complaint, size_t complaint_size)
{
	const struct passwd *entry;

	if (geteuid() != 0)
		return true;
	if (strcmp(user, "root") == 0) {
		crow_log(CROW_LOG_INFO, "stays root, as [daemon] user=root says");
		return true;
	}
	errno = 0;
	entry = getpwnam(user);
	if (entry == NULL) {
		snprintf(complaint, complaint_size,
			 "there is no user %s to become: create it (adduser --system --group %s), "
			 "or set [daemon] user=root to stay root",
			 user, user);
		return false;
	}
	if (chown(runtime_dir, entry->pw_uid, entry->pw_gid) == 0 &&
	    chown(state_dir, entry->pw_uid, entry->pw_gid) == 0 && become(entry))
		return true;
	snprintf(complaint, complaint_size,
		 "cannot hand %s and %s to user %s and become it: %s; start without root, or set "
		 "[daemon] user=root",
		 runtime_dir, state_dir, user, strerror(errno));
	return false;
}
