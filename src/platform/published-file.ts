/**
 * Files that a static site never serves, wherever they are in the published tree: hidden files, installed packages, and the files that
 * define how an application is built. The build omits them and the router refuses them, both by this rule.
 */

/** In lower case: names match in any case. */
const unpublished = new Set([
  ...['node_modules', 'package.json', 'package-lock.json', 'npm-shrinkwrap.json', 'yarn.lock', 'pnpm-lock.yaml', 'pnpm-workspace.yaml'],
  ...[
    'bun.lock',
    'bun.lockb',
    'bunfig.toml',
    'deno.json',
    'deno.jsonc',
    'deno.lock',
    'lerna.json',
    'requirements.txt',
    'pipfile',
    'pipfile.lock',
    'poetry.lock',
  ],
  ...['uv.lock', 'pyproject.toml', 'setup.py', 'setup.cfg', 'procfile', 'dockerfile', 'containerfile', 'compose.yml', 'compose.yaml'],
  ...['docker-compose.yml', 'docker-compose.yaml', 'composer.json', 'composer.lock', 'cargo.toml', 'cargo.lock', 'gemfile', 'gemfile.lock'],
  ...['go.mod', 'go.sum', 'go.work', 'mix.exs', 'mix.lock', 'pom.xml', 'build.gradle', 'build.gradle.kts', 'makefile'],
])

const unpublishedForms = /^(requirements[-._].*\.txt|(dockerfile|procfile)\..+|.+\.dockerfile)$/

/** Whether a file or folder of this name may be served. Every part of a path must be. */
export function isPublished(name: string): boolean {
  if (name.startsWith('.')) return name === '.well-known'
  const lower = name.toLowerCase()
  return !unpublished.has(lower) && !unpublishedForms.test(lower)
}
