#include "daemon/privilege.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "daemon/log.h"

static void give_state(const char *dir, const struct passwd *entry)
{
	if (dir != NULL && chown(dir, entry->pw_uid, entry->pw_gid) != 0)
		crow_log(CROW_LOG_WARNING,
			 "cannot hand %s to user %s: %s; lists may not survive a restart", dir,
			 entry->pw_name, strerror(errno));
}

/* With the lock file: the next start may be this user's own, as by a service manager. */
static bool give_runtime(const char *dir, int lock, const struct passwd *entry)
{
	return chown(dir, entry->pw_uid, entry->pw_gid) == 0 &&
	       fchown(lock, entry->pw_uid, entry->pw_gid) == 0;
}

static bool become(const struct passwd *entry)
{
	/* Groups first: without root they cannot be changed any more. */
	return setgroups(0, NULL) == 0 &&
	       setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) == 0 &&
	       setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) == 0;
}

bool crow_privilege_drop(const char *user, const char *runtime_dir, int lock, const char *state_dir,
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
	give_state(state_dir, entry);
	if (give_runtime(runtime_dir, lock, entry) && become(entry))
		return true;
	snprintf(complaint, complaint_size,
		 "cannot hand %s to user %s and become it: %s; start without root, or set [daemon] "
		 "user=root",
		 runtime_dir, user, strerror(errno));
	return false;
}
