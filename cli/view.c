#include "cli/view.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/json.h"
#include "resolver/name.h"

const char *crow_view_dir(const char *option)
{
	const char *dir = option ? option : getenv("CROWFLY_RUNTIME_DIR");

	return dir && *dir ? dir : CROW_RUNTIME_DIR;
}

/* "root's, mode 0600" */
#define OWNER_TEXT 64

static void name_owner(const struct stat *st, char out[OWNER_TEXT])
{
	const struct passwd *user = getpwuid(st->st_uid);
	char number[16];

	snprintf(number, sizeof(number), "uid %u", st->st_uid);
	snprintf(out, OWNER_TEXT, "%.32s's, mode %04o", user ? user->pw_name : number,
		 st->st_mode & 07777);
}

/* EACCES: the file, its directory or one above is closed to this user; which, is told from how far
 * stat() comes. */
static void explain_closed(const char *dir, char complaint[CROW_VIEW_COMPLAINT])
{
	char path[PATH_MAX], owner[OWNER_TEXT];
	struct stat st;

	snprintf(path, sizeof(path), "%s/" CROW_SNAP_FILE, dir);
	if (stat(path, &st) == 0) {
		name_owner(&st, owner);
		snprintf(complaint, CROW_VIEW_COMPLAINT,
			 "this user may not read %s (%s): crowflyd writes it for everybody, with "
			 "mode 0644, anew with each change; until then chmod 644 it",
			 path, owner);
	} else if (stat(dir, &st) == 0) {
		name_owner(&st, owner);
		snprintf(complaint, CROW_VIEW_COMPLAINT,
			 "this user may not look into %s (%s): chmod 755 it, as crowflyd makes it "
			 "(RuntimeDirectoryMode= of its unit says otherwise), or be its owner",
			 dir, owner);
	} else {
		snprintf(complaint, CROW_VIEW_COMPLAINT,
			 "this user may not reach %s: a directory above it is closed; namei -l %s "
			 "shows which, and each must be open to all who are to use crowfly",
			 path, dir);
	}
}

static void explain(enum crow_attach result, enum crow_image_error error, const char *dir,
		    char complaint[CROW_VIEW_COMPLAINT])
{
	const size_t size = CROW_VIEW_COMPLAINT;

	switch (result) {
	case CROW_ATTACH_OK:
		break;
	case CROW_ATTACH_ABSENT:
		snprintf(complaint, size,
			 "there is no snapshot in %s: start crowflyd, or name the directory that "
			 "it uses with --runtime-dir",
			 dir);
		break;
	case CROW_ATTACH_UNTRUSTED:
		snprintf(complaint, size,
			 "%s/" CROW_SNAP_FILE " is not trusted: it must be a regular file of "
			 "root, of yourself or of the directory's owner, not writable by others",
			 dir);
		break;
	case CROW_ATTACH_INVALID:
		snprintf(complaint, size,
			 "%s/" CROW_SNAP_FILE " cannot be used: %s; is crowflyd of the same "
			 "version as crowfly?",
			 dir, crow_image_strerror(error));
		break;
	case CROW_ATTACH_SYSTEM:
		if (errno == EACCES) {
			explain_closed(dir, complaint);
			break;
		}
		snprintf(complaint, size, "cannot read %s/" CROW_SNAP_FILE ": %s", dir,
			 strerror(errno));
		break;
	}
}

bool crow_view_try(struct crow_copy *copy, const char *dir, char complaint[CROW_VIEW_COMPLAINT])
{
	enum crow_image_error error = CROW_IMAGE_OK;
	enum crow_attach result = crow_copy_load(copy, dir, &error);

	explain(result, error, dir, complaint);
	return result == CROW_ATTACH_OK;
}

bool crow_view_load(struct crow_copy *copy, const char *dir)
{
	char complaint[CROW_VIEW_COMPLAINT];

	if (crow_view_try(copy, dir, complaint))
		return true;
	crow_complain("%s", complaint);
	return false;
}

const char *crow_view_zone(const struct crow_image *img, const struct crow_snap_service *service)
{
	if (service->zone >= img->header->zones.count)
		return "";
	return crow_image_string(img, img->zones[service->zone].name);
}

bool crow_view_is_waiting(const struct crow_snap_service *service)
{
	return service->count == 0;
}

bool crow_view_is_named(const struct crow_image *img, uint32_t index, const char *wanted)
{
	const struct crow_snap_service *service = crow_image_service(img, index);
	const struct crow_snap_name *name;
	char folded[CROW_NAME_MAX + 1];
	size_t length;

	if (strcmp(crow_image_string(img, service->name), wanted) == 0)
		return true;
	length = crow_name_fold(wanted, strlen(wanted), folded);
	name = length ? crow_image_find_name(img, folded, length) : NULL;
	return name && name->kind == CROW_NAME_SERVICE && name->service == index;
}

bool crow_view_daemon_lives(const char *dir)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	char path[PATH_MAX];
	bool held;
	int fd;

	if (snprintf(path, sizeof(path), "%s/lock", dir) >= (int)sizeof(path))
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	/* F_OFD_GETLK tells whether a read lock would be refused; it sets none (fcntl(2)). */
	held = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
	close(fd);
	return held;
}

const char *crow_view_state(const struct crow_snap_instance *instance)
{
	switch (instance->state) {
	case CROW_STATE_UP:
		return "up";
	case CROW_STATE_DRAINED:
		return "drained";
	case CROW_STATE_EJECTED:
		return "ejected";
	case CROW_STATE_TOMBSTONE:
		return "gone";
	default:
		return "unknown";
	}
}

enum crow_tint crow_view_tint(const struct crow_snap_instance *instance)
{
	switch (instance->state) {
	case CROW_STATE_UP:
		return CROW_GOOD;
	case CROW_STATE_DRAINED:
		return CROW_WARN;
	default:
		return CROW_BAD;
	}
}

double crow_view_share(const struct crow_snap_service *service,
		       const struct crow_snap_instance *instance)
{
	if (instance->state != CROW_STATE_UP || service->total_weight == 0)
		return 0;
	return 100.0 * instance->weight / (double)service->total_weight;
}

int64_t crow_view_seconds_since(int64_t boot_ns)
{
	struct timespec now;
	int64_t seconds;

	clock_gettime(CLOCK_BOOTTIME, &now);
	/* Any time may stand in the file: whole seconds first, so that nothing overflows. */
	seconds = now.tv_sec - boot_ns / 1000000000;
	return seconds > 0 ? seconds : 0;
}

void crow_view_age(int64_t seconds, char out[CROW_AGE_TEXT])
{
	static const struct {
		int64_t from_s, unit_s;
		const char *name;
	} steps[] = {{172800, 86400, "d"}, {7200, 3600, "h"}, {120, 60, "min"}, {0, 1, "s"}};
	size_t i = 0;

	while (seconds < steps[i].from_s)
		i++;
	snprintf(out, CROW_AGE_TEXT, "%" PRId64 " %s", seconds / steps[i].unit_s, steps[i].name);
}

/* A number that may be unknown. */
static void put_json_number(FILE *out, const char *name, int64_t value)
{
	if (value >= 0)
		fprintf(out, ",\"%s\":%" PRId64, name, value);
	else
		fprintf(out, ",\"%s\":null", name);
}

void crow_view_json_instance(FILE *out, const struct crow_image *img,
			     const struct crow_snap_service *service,
			     const struct crow_snap_instance *instance,
			     const struct crow_story_instance *told)
{
	char address[CROW_ENDPOINT_TEXT];

	crow_addr_format(&instance->addr, 0, address);
	fprintf(out,
		"{\"address\":\"%s\",\"port\":%u,\"weight\":%u,\"share\":%.3f,\"state\":\"%s\"",
		address, instance->port, instance->weight, crow_view_share(service, instance),
		crow_view_state(instance));
	fputs(",\"app\":", out);
	crow_json_string(out, crow_image_string(img, instance->app));
	if (told) {
		put_json_number(out, "since_s", told->since_s);
		put_json_number(out, "given", told->given);
		fputs(",\"health\":", out);
		crow_json_string(out, told->health);
		fputs(",\"why\":", out);
		crow_json_string(out, told->why);
	}
	fputc('}', out);
}

/* An IPv6 endpoint may be wider; then its row alone is shifted. */
#define ADDRESS_COLUMNS 21 /* 255.255.255.255:65535 */
#define WEIGHT_COLUMNS  8  /* 1000000 */
#define SHARE_COLUMNS   7  /* 100.0% */
#define STATE_COLUMNS   8
#define SINCE_COLUMNS   8
#define PLAIN_COLUMNS   (2 + ADDRESS_COLUMNS + WEIGHT_COLUMNS + SHARE_COLUMNS + 2 + STATE_COLUMNS)
#define TOLD_COLUMNS    (PLAIN_COLUMNS + SHARE_COLUMNS + SINCE_COLUMNS)

void crow_view_put_head(const struct crow_term *term, bool told)
{
	fprintf(term->out, "  %-*s%*s%*s", ADDRESS_COLUMNS, "ADDRESS", WEIGHT_COLUMNS, "WEIGHT",
		SHARE_COLUMNS, "SHARE");
	if (told)
		fprintf(term->out, "%*s  %-*s%-*sWHY, APP\n", SHARE_COLUMNS, "GIVEN", STATE_COLUMNS,
			"STATE", SINCE_COLUMNS, "SINCE");
	else
		fprintf(term->out, "  %-*sAPP\n", STATE_COLUMNS, "STATE");
}

/* The part of its service's picks by DNS that it got in the last minute. */
static void put_given(const struct crow_term *term, const struct crow_story_instance *told)
{
	if (told->given >= 0 && told->given_of > 0)
		fprintf(term->out, "%*.1f%%", SHARE_COLUMNS - 1,
			100.0 * (double)told->given / (double)told->given_of);
	else
		fprintf(term->out, "%*s", SHARE_COLUMNS, "-");
}

static void put_since(const struct crow_term *term, const struct crow_story_instance *told)
{
	char age[CROW_AGE_TEXT] = "-";

	if (told->since_s >= 0)
		crow_view_age(told->since_s, age);
	fprintf(term->out, "%-*s", SINCE_COLUMNS, age);
}

/* The state, or what stands against an instance that is picked all the same. */
static void put_state(const struct crow_term *term, const struct crow_snap_instance *instance,
		      const struct crow_story_instance *told)
{
	if (told && *told->health && instance->state == CROW_STATE_UP)
		crow_term_put(term, CROW_WARN, STATE_COLUMNS, told->health);
	else
		crow_term_put(term, crow_view_tint(instance), STATE_COLUMNS,
			      crow_view_state(instance));
}

/* More than any reason has. */
#define WHY_MAX 200

/* Why it is in that state, and its label, if there is room for the whole of it. */
static void put_why(const struct crow_term *term, unsigned at, enum crow_tint tint,
		    const char *reason, const char *app)
{
	char why[WHY_MAX + 1];

	if (!*reason) {
		crow_term_put_last(term, CROW_PLAIN, at, app);
		return;
	}
	snprintf(why, sizeof(why), "%s", reason);
	crow_term_put_last(term, tint, at, why);
	at += (unsigned)strlen(why);
	if (!*app || (term->columns && at + strlen(", ") + strlen(app) > term->columns))
		return;
	fputs(", ", term->out);
	crow_term_put_last(term, CROW_PLAIN, at + (unsigned)strlen(", "), app);
}

void crow_view_put_instance(const struct crow_term *term, const struct crow_image *img,
			    const struct crow_snap_service *service,
			    const struct crow_snap_instance *instance,
			    const struct crow_story_instance *told)
{
	unsigned at = told ? TOLD_COLUMNS : PLAIN_COLUMNS;
	char endpoint[CROW_ENDPOINT_TEXT];

	crow_addr_format(&instance->addr, instance->port, endpoint);
	if (strlen(endpoint) > ADDRESS_COLUMNS)
		at += (unsigned)strlen(endpoint) - ADDRESS_COLUMNS;
	fprintf(term->out, "  %-*s%*u%*.1f%%", ADDRESS_COLUMNS, endpoint, WEIGHT_COLUMNS,
		instance->weight, SHARE_COLUMNS - 1, crow_view_share(service, instance));
	if (told)
		put_given(term, told);
	fputs("  ", term->out);
	put_state(term, instance, told);
	if (told)
		put_since(term, told);
	put_why(term, at, crow_view_tint(instance), told ? told->why : "",
		crow_image_string(img, instance->app));
	fputc('\n', term->out);
}
