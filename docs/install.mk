# Manual pages, installing, packaging. Included by the top Makefile.

BINDIR  := $(PREFIX)/bin
SBINDIR := $(PREFIX)/sbin
LIBDIR  := $(PREFIX)/lib/crowfly
UNITDIR := $(PREFIX)/lib/systemd/system
MANDIR  := $(PREFIX)/share/man
DOCDIR  := $(PREFIX)/share/doc/crowfly

# What is made of the table of options: the middle of crowfly.conf(5), and the sample.
MADE := $(BUILD)/docs/crowfly.conf.5 $(BUILD)/docs/crowfly.conf $(BUILD)/docs/crowfly.service
MANUALS  := docs/man/crowfly.1 docs/man/libcrowfly.7 docs/man/crowflyd.8 $(BUILD)/docs/crowfly.conf.5
EXAMPLES := docs/examples/crowfly.socket docs/examples/resolved-crowfly.conf docs/examples/dnsmasq-crowfly.conf docs/examples/resolv.conf \
            docs/examples/alerts.yml docs/examples/grafana-dashboard.json $(BUILD)/docs/crowfly.conf

$(BUILD)/docs/manual: $(BUILD)/docs/manual.o $(BUILD)/libcrowfly-daemon.a $(BUILD)/libcrowfly-resolver.a
	$(LINK) $(LIBS_daemon)
$(BUILD)/docs/crowfly.conf.5: docs/man/crowfly.conf.5.in $(BUILD)/docs/manual
	$(Q)$(BUILD)/docs/manual options > $@.options
	$(Q)sed -e '/^@OPTIONS@$$/{' -e 'r $@.options' -e 'd' -e '}' $< > $@
$(BUILD)/docs/crowfly.conf: $(BUILD)/docs/manual
	$(Q)$< sample > $@
# Paths may change from one `make install` to the next, hence always. Written only if another: what
# `sudo make install` wrote is not the user's to write again.
UNIT_HERE = sed 's|@SBINDIR@|$(SBINDIR)|' $<
$(BUILD)/docs/crowfly.service: docs/examples/crowfly.service always
	@mkdir -p $(@D)
	$(Q)$(UNIT_HERE) | cmp -s - $@ || $(UNIT_HERE) > $@

.PHONY: docs install uninstall deb
docs: $(MADE) ## the generated manual page, sample configuration and systemd unit, in build/docs

PUT = $(Q)install -D -m

install: $(PROGRAMS) $(MADE) ## programs, manual pages, systemd unit: PREFIX=/usr/local DESTDIR=
	$(PUT) 755 $(BUILD)/crowfly $(DESTDIR)$(BINDIR)/crowfly
	$(PUT) 755 $(BUILD)/crowflyd $(DESTDIR)$(SBINDIR)/crowflyd
	$(PUT) 644 $(BUILD)/libcrowfly.so $(DESTDIR)$(LIBDIR)/libcrowfly.so
	$(PUT) 644 $(BUILD)/docs/crowfly.service $(DESTDIR)$(UNITDIR)/crowfly.service
	$(Q)for page in $(MANUALS); do \
		install -D -m 644 $$page $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/} || exit; done
	$(Q)install -d $(DESTDIR)$(DOCDIR)/examples
	$(Q)install -m 644 $(EXAMPLES) $(DESTDIR)$(DOCDIR)/examples
	$(Q)install -m 644 docs/api.md $(DESTDIR)$(DOCDIR)
	@echo "installed below $(DESTDIR)$(PREFIX); next, for a service: adduser --system --group crowfly,"
	@echo "$(DOCDIR)/examples/crowfly.conf to /etc/crowfly.conf, systemctl enable --now crowfly"

uninstall: ## remove what install put there, with the same PREFIX= and DESTDIR=
	$(Q)rm -f $(DESTDIR)$(BINDIR)/crowfly $(DESTDIR)$(SBINDIR)/crowflyd \
		$(DESTDIR)$(UNITDIR)/crowfly.service
	$(Q)for page in $(MANUALS); do rm -f $(DESTDIR)$(MANDIR)/man$${page##*.}/$${page##*/}; done
	$(Q)rm -rf $(DESTDIR)$(LIBDIR) $(DESTDIR)$(DOCDIR)

# The libraries that the programs need, as dpkg-shlibdeps(1) finds them; it wants a source tree.
DEB = $(abspath $(BUILD))/deb
# Whoever builds a package answers for it: debchange(1) and others take them from the environment, too.
DEBFULLNAME ?= the crowfly authors
DEBEMAIL    ?= crowfly@localhost
MAINTAINER   = $(DEBFULLNAME) <$(DEBEMAIL)>
DEBDOC       = $(DEB)/root/usr/share/doc/crowfly
deb: deps-deb ## crowfly_VERSION_ARCH.deb for this Debian: DEBFULLNAME= DEBEMAIL= of its maintainer
	@head -1 docs/debian/changelog | grep -qF '($(VERSION))' || \
		{ echo "docs/debian/changelog does not begin with $(VERSION)" >&2; exit 1; }
	$(Q)rm -rf $(DEB) && mkdir -p $(DEB)/source/debian $(DEB)/root/DEBIAN
	$(Q)$(MAKE) --no-print-directory install PREFIX=/usr DESTDIR=$(DEB)/root >/dev/null
	$(Q)strip --strip-unneeded $(DEB)/root/usr/*bin/crowfly* $(DEB)/root/usr/lib/crowfly/libcrowfly.so
	$(Q)gzip -9n $(DEB)/root/usr/share/man/man*/*
	$(Q)printf 'Source: crowfly\n\nPackage: crowfly\nArchitecture: any\n' > $(DEB)/source/debian/control
	$(Q)cd $(DEB)/source && depends=$$(dpkg-shlibdeps -O $(DEB)/root/usr/*bin/crowfly* \
			$(DEB)/root/usr/lib/crowfly/libcrowfly.so | sed -n 's/^shlibs:Depends=//p') && \
		sed -e 's/@VERSION@/$(VERSION)/' -e "s/@ARCH@/$$(dpkg --print-architecture)/" \
			-e "s/@DEPENDS@/$$depends/" -e 's/@MAINTAINER@/$(MAINTAINER)/' $(CURDIR)/docs/debian/control.in > $(DEB)/root/DEBIAN/control
	$(Q)sed 's/@MAINTAINER@/$(MAINTAINER)/' docs/debian/changelog | gzip -9n > $(DEBDOC)/changelog.gz
	$(Q)install -m 644 docs/debian/copyright $(DEBDOC)
	$(Q)install -m 755 docs/debian/postinst docs/debian/prerm docs/debian/postrm $(DEB)/root/DEBIAN
	$(Q)dpkg-deb --root-owner-group --build $(DEB)/root .
