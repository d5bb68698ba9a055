/** Modules in the addons folders: their manifests, the fields of their models, and their migration scripts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const series = '17.0'

/** All modules, by name. Of several folders, the first one that has a module wins. */
export function findModules(folders) {
  const modules = new Map()
  for (const folder of folders)
    for (const name of readdirSync(folder))
      if (!modules.has(name) && existsSync(join(folder, name, '__manifest__.py'))) modules.set(name, readModule(name, join(folder, name)))
  return modules
}

/** A version as the database has it: with the series of the server. */
const fullVersion = (version) => (version.startsWith(`${series}.`) ? version : `${series}.${version}`)

function readModule(name, path) {
  const manifest = readFileSync(join(path, '__manifest__.py'), 'utf8')
  const depends = /['"]depends['"]\s*:\s*\[([^\]]*)\]/.exec(manifest)?.[1] ?? ''
  return {
    name,
    path,
    version: fullVersion(/['"]version['"]\s*:\s*['"]([^'"]+)['"]/.exec(manifest)?.[1] ?? '1.0'),
    depends: name === 'base' ? [] : [...new Set(['base', ...[...depends.matchAll(/['"](\w+)['"]/g)].map(([, other]) => other)])],
    autoInstall: /['"]auto_install['"]\s*:\s*True/.test(manifest),
    isInstallable: !/['"]installable['"]\s*:\s*False/.test(manifest),
  }
}

/** The names with everything that they depend on, in the order of loading. Throws for a module that is missing. */
export function inOrder(modules, names) {
  const ordered = new Set()
  const add = (name, neededBy) => {
    if (ordered.has(name)) return
    const module = modules.get(name)
    if (!module)
      throw `You try to install module '${neededBy}' that depends on module '${name}'.\nBut the latter module is not available in your system.`
    for (const other of module.depends) add(other, name)
    ordered.add(name)
  }
  for (const name of [...names].sort()) add(name, name)
  return [...ordered]
}

/** Runs what Python runs when it imports a module. */
export function importModule({ path }) {
  const file = join(path, '__init__.py')
  const raised = existsSync(file) && /^raise \w+\((['"])(.*)\1\)/m.exec(readFileSync(file, 'utf8'))
  if (raised) throw raised[2]
}

/** Fields of the models that a module adds or extends: `{table, column}`. */
export function fieldsOf({ path }) {
  const folder = join(path, 'models')
  const files = existsSync(folder) ? readdirSync(folder).filter((name) => name.endsWith('.py')) : []
  return files.flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8')
    const model = /_(?:inherit|name)\s*=\s*['"]([\w.]+)['"]/.exec(text)?.[1]
    if (!model) return []
    const table = model.replaceAll('.', '_')
    return [...text.matchAll(/^ {4}(\w+)\s*=\s*fields\.\w+\(/gm)].map(([, column]) => ({ table, column }))
  })
}

const numbers = (version) => version.split('.').map(Number)
const compare = (a, b) => {
  const [left, right] = [numbers(a), numbers(b)]
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

/** What the migration scripts between two versions do, in order: `sleep`, `error`, `raise`. */
export function migrationsOf({ path, version }, installed) {
  const folder = join(path, 'migrations')
  const versions = existsSync(folder) ? readdirSync(folder) : []
  return versions
    .filter((name) => compare(fullVersion(name), installed) > 0 && compare(fullVersion(name), version) <= 0)
    .sort(compare)
    .flatMap((name) => readdirSync(join(folder, name)).map((file) => readFileSync(join(folder, name, file), 'utf8')))
    .flatMap((text) => [
      ...text.matchAll(/^ +(?:time\.(sleep)\(([\d.]+)\)|_logger\.(error)\(['"](.*)['"]\)|(raise) \w+\(['"](.*)['"]\))$/gm),
    ])
    .map((found) => {
      const [kind, argument] = found.slice(1).filter((part) => part !== undefined)
      return { kind, argument }
    })
}
