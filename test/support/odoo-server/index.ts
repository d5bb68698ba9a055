/**
 * A stand-in for the source of Odoo: a repository with an executable `odoo-bin` that takes the command line and the configuration of real
 * servers and behaves as they do, over a real PostgreSQL. It is no Python: it reads what tests put into addons, which a real server runs.
 * Its server ends STAND_IN_STOP_MS after SIGTERM, and opens its evented port STAND_IN_EVENTED_DELAY_MS after the other.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { createRepository, type GitRepository, type RepositoryFiles } from '../git-repository.ts'

/** PostgreSQL's client and what it needs, which the repository contains so that it runs without an installation. */
const packages =
  'pg pg-connection-string pg-int8 pg-pool pg-protocol pg-types pgpass postgres-array postgres-bytea postgres-date postgres-interval split2 xtend'

/** A repository with the source, whose branch is the version. */
export async function createOdooSource({ branch = '17.0' } = {}): Promise<GitRepository> {
  const repository = await createRepository()
  await repository.git(['checkout', '--quiet', '-b', branch])
  const libraries = join(import.meta.dirname, '..', '..', '..', 'node_modules')
  const files = await filesBelow(join(import.meta.dirname, 'source'))
  for (const name of packages.split(' '))
    for (const [path, content] of Object.entries(await filesBelow(join(libraries, name)))) files[`node_modules/${name}/${path}`] = content
  await repository.commit(files, 'Odoo')
  return repository
}

async function filesBelow(folder: string): Promise<RepositoryFiles> {
  const files: RepositoryFiles = {}
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || /\.(md|map|d\.ts)$/.test(entry.name)) continue
    const path = join(entry.parentPath, entry.name)
    const isExecutable = ((await stat(path)).mode & 0o100) !== 0
    files[relative(folder, path)] = isExecutable ? { executable: await readFile(path, 'utf8') } : await readFile(path)
  }
  return files
}

export type Addon = {
  version?: string
  depends?: string[]
  /** Fields that it adds to users. Without them in the database, nobody can log in. */
  userFields?: string[]
  /** What its import raises. */
  raises?: string
  /** What the migration to this version does: takes a while, logs an error, raises. In this order. */
  migration?: { sleepSeconds?: number; logsError?: string; raises?: string }
}

/** The files of a module, for a real server too. */
export function addonFiles(name: string, { version = '1.0', depends = ['base'], userFields = [], raises, migration }: Addon = {}) {
  const list = depends.map((other) => `'${other}'`).join(', ')
  const files: RepositoryFiles = {
    [`${name}/__manifest__.py`]: `{'name': '${name}', 'version': '${version}', 'depends': [${list}], 'license': 'LGPL-3'}\n`,
    [`${name}/__init__.py`]: raises === undefined ? 'from . import models\n' : `raise Exception('${raises}')\n`,
    [`${name}/models/__init__.py`]: 'from . import res_users\n',
    [`${name}/models/res_users.py`]: [
      'from odoo import fields, models\n\n',
      "class Users(models.Model):\n    _inherit = 'res.users'\n",
      ...userFields.map((field) => `    ${field} = fields.Char()\n`),
    ].join(''),
  }
  if (migration) {
    const { sleepSeconds, logsError, raises: raised } = migration
    files[`${name}/migrations/17.0.${version}/post-migrate.py`] = [
      'import logging\nimport time\n\n_logger = logging.getLogger(__name__)\n\n\ndef migrate(cr, version):\n',
      sleepSeconds === undefined ? '' : `    time.sleep(${sleepSeconds})\n`,
      logsError === undefined ? '' : `    _logger.error('${logsError}')\n`,
      raised === undefined ? '    return\n' : `    raise Exception('${raised}')\n`,
    ].join('')
  }
  return files
}
