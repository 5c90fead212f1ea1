#include "cli/elf.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

typedef ElfW(Ehdr) elf_header;
typedef ElfW(Phdr) elf_segment;
typedef ElfW(Shdr) elf_section;
typedef ElfW(Nhdr) elf_note;

/* The header of this very program, which the linker provides: what is not built as it is, is
 * foreign. */
extern const elf_header __ehdr_start __attribute__((visibility("hidden")));

/* The kernel runs no program whose program headers take more than 64 KiB (load_elf_phdrs). */
#define PROGRAM_HEADERS_MAX (65536 / sizeof(elf_segment))

/* Programs have 2 to 5 notes; more than this are not worth the time. */
#define NOTES_MAX 64

/* cmd/internal/buildid in Go's source: ELF_NOTE_GOBUILDID_TAG. */
#define NOTE_GO_BUILD_ID 4

static bool read_at(int fd, uint64_t offset, void *out, size_t size)
{
	return offset <= (uint64_t)INT64_MAX - size &&
	       pread(fd, out, size, (off_t)offset) == (ssize_t)size;
}

static bool is_foreign(const elf_header *header)
{
	return header->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
	       header->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] ||
	       header->e_machine != __ehdr_start.e_machine;
}

static bool is_go_note(int fd, uint64_t offset, const elf_note *note)
{
	char name[4];

	return note->n_type == NOTE_GO_BUILD_ID && note->n_namesz == sizeof(name) &&
	       read_at(fd, offset + sizeof(*note), name, sizeof(name)) &&
	       memcmp(name, "Go\0", sizeof(name)) == 0;
}

static uint64_t round_up(uint64_t size, uint64_t align)
{
	return (size + align - 1) & ~(align - 1);
}

static bool has_go_note(int fd, const elf_segment *segment)
{
	uint64_t align = segment->p_align == 8 ? 8 : 4;
	uint64_t at = 0;
	elf_note note;

	for (int i = 0; i < NOTES_MAX; i++) {
		if (at > segment->p_filesz || segment->p_filesz - at < sizeof(note) ||
		    at > UINT64_MAX - segment->p_offset)
			return false;
		if (!read_at(fd, segment->p_offset + at, &note, sizeof(note)))
			return false;
		if (is_go_note(fd, segment->p_offset + at, &note))
			return true;
		/* Both sizes have 32 bits, so their sum with `at`, which lies in the file, fits. */
		at += sizeof(note) + round_up(note.n_namesz, align) +
		      round_up(note.n_descsz, align);
	}
	return false;
}

static bool read_section(int fd, const elf_header *header, unsigned index, elf_section *out)
{
	return header->e_shoff <= INT64_MAX &&
	       read_at(fd, header->e_shoff + (uint64_t)index * sizeof(*out), out, sizeof(*out));
}

/* Go programs built without a build id still have this section, even when stripped. */
static bool has_go_section(int fd, const elf_header *header)
{
	static const char wanted[] = ".go.buildinfo";
	char name[sizeof(wanted)];
	elf_section names, section;

	if (header->e_shentsize != sizeof(section) ||
	    !read_section(fd, header, header->e_shstrndx, &names) || names.sh_offset > INT64_MAX)
		return false;
	for (unsigned i = 0; i < header->e_shnum; i++) {
		if (!read_section(fd, header, i, &section))
			return false;
		if (read_at(fd, names.sh_offset + section.sh_name, name, sizeof(name)) &&
		    memcmp(name, wanted, sizeof(name)) == 0)
			return true;
	}
	return false;
}

static bool is_musl(int fd, const elf_segment *segment)
{
	static const char musl[] = "/lib/ld-musl-";
	char path[sizeof(musl) - 1];

	return segment->p_filesz >= sizeof(path) &&
	       read_at(fd, segment->p_offset, path, sizeof(path)) &&
	       memcmp(path, musl, sizeof(path)) == 0;
}

static enum crow_elf_kind examine_segments(int fd, const elf_header *header)
{
	enum crow_elf_kind kind = CROW_ELF_STATIC;
	elf_segment segment;

	for (unsigned i = 0; i < header->e_phnum; i++) {
		if (!read_at(fd, header->e_phoff + i * sizeof(segment), &segment, sizeof(segment)))
			return CROW_ELF_NONE;
		if (segment.p_type == PT_NOTE && has_go_note(fd, &segment))
			return CROW_ELF_GO;
		if (segment.p_type == PT_INTERP)
			kind = is_musl(fd, &segment) ? CROW_ELF_MUSL : CROW_ELF_DYNAMIC;
	}
	return kind;
}

enum crow_elf_kind crow_elf_examine(int fd)
{
	elf_header header;
	enum crow_elf_kind kind;

	if (!read_at(fd, 0, &header, sizeof(header)) ||
	    memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
		return CROW_ELF_NONE;
	if (is_foreign(&header))
		return CROW_ELF_FOREIGN;
	if (header.e_phentsize != sizeof(elf_segment) || header.e_phnum > PROGRAM_HEADERS_MAX ||
	    header.e_phoff > INT64_MAX)
		return CROW_ELF_NONE;
	kind = examine_segments(fd, &header);
	if (kind == CROW_ELF_NONE || kind == CROW_ELF_GO)
		return kind;
	return has_go_section(fd, &header) ? CROW_ELF_GO : kind;
}

/* The next word of a script's first line; an empty one at its end. */
static size_t next_word(const char **at, const char *end, const char **word)
{
	while (*at < end && (**at == ' ' || **at == '\t'))
		(*at)++;
	*word = *at;
	while (*at < end && !memchr(" \t\n", **at, 4))
		(*at)++;
	return (size_t)(*at - *word);
}

static bool is_env(const char *path, size_t length)
{
	return (length == 3 && memcmp(path, "env", 3) == 0) ||
	       (length > 4 && memcmp(path + length - 4, "/env", 4) == 0);
}

bool crow_script_interpreter(const char *head, size_t size, char out[CROW_SCRIPT_HEAD])
{
	const char *at = head + 2,
		   *end = head + (size < CROW_SCRIPT_HEAD ? size : CROW_SCRIPT_HEAD);
	const char *word;
	size_t length;

	if (size < 2 || memcmp(head, "#!", 2) != 0)
		return false;
	length = next_word(&at, end, &word);
	if (is_env(word, length)) {
		/* env(1) skips its options and NAME=VALUE before the command. */
		do {
			length = next_word(&at, end, &word);
		} while (length && (word[0] == '-' || memchr(word, '=', length)));
	}
	if (!length || length >= CROW_SCRIPT_HEAD)
		return false;
	memcpy(out, word, length);
	out[length] = '\0';
	return true;
}
