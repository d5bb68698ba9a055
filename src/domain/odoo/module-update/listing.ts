/** Reads the modules of a release, with a command inside of it. */
import type { ReleaseModule } from './model.ts'

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

/** Prints a line for each module in some directories of the release: name, version and digest of its files. */
export const listingCommand = (folders: readonly string[]): string => `set -eu
for folder in ${folders.map(quoted).join(' ')}; do
  for manifest in "$folder"/*/__manifest__.py; do
    [ -f "$manifest" ] || continue
    module=\${manifest%/__manifest__.py}
    version=$(sed -n "s/.*['\\"]version['\\"][[:space:]]*:[[:space:]]*['\\"]\\([^'\\"]*\\)['\\"].*/\\1/p" "$manifest" | head -n 1)
    digest=$(cd "$module" && find . -type f ! -name '*.pyc' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-64)
    printf '%s\\t%s\\t%s\\n' "\${module##*/}" "$version" "$digest"
  done
done`

const line = /^([A-Za-z_][A-Za-z0-9_]{0,99})\t([^\t]{0,64})\t([0-9a-f]{64})$/

/** What the command printed. Of several modules with one name, Odoo takes the first. */
export function parseListing(text: string): ReleaseModule[] {
  const modules = new Map<string, ReleaseModule>()
  for (const [, name = '', version = '', digest = ''] of text.split('\n').flatMap((each) => [line.exec(each) ?? []])) {
    if (name !== '' && !modules.has(name)) modules.set(name, { name, version: version || null, digest })
  }
  return [...modules.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
}
