/** The tables of a database, and what installs, updates and neutralises modules in them. */
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { log } from './log.mjs'
import { fieldsOf, importModule, inOrder, migrationsOf } from './modules.mjs'

const schema = `
  create table ir_module_module (id serial primary key, name varchar unique, state varchar, latest_version varchar);
  create table ir_config_parameter (id serial primary key, key varchar unique, value text);
  create table res_users (id serial primary key, login varchar unique, password varchar, active boolean default true);
  create table res_partner (id serial primary key, name varchar, email varchar);
  create table ir_attachment (id serial primary key, name varchar, store_fname varchar, checksum varchar, file_size int);
  create table ir_mail_server (id serial primary key, name varchar, smtp_host varchar, smtp_port int, active boolean default true);
  create table ir_cron (id serial primary key, cron_name varchar, active boolean default true, lastcall timestamp);
  create table mail_mail (id serial primary key, email_to varchar, subject varchar, state varchar default 'outgoing');
  insert into res_users (login, password) values ('admin', 'admin');
  insert into res_partner (name) values ('My Company');
  insert into ir_cron (cron_name) values ('Base: Auto-vacuum internal data'), ('Mail: Email Queue Manager');`

export function openPool(options) {
  const { db_host: host, db_port: port, db_user: user, db_password: password, db_name: database } = options
  const pool = new pg.Pool({ host, port, user, password, database, max: 4 })
  // A server that is away is met by the next query.
  pool.on('error', () => {})
  return pool
}

export async function isInitialised(db) {
  const { rows } = await db.query("select to_regclass('ir_module_module') is not null as yes")
  return rows[0].yes
}

export const installedModules = async (db) =>
  new Map(
    (await db.query("select name, latest_version from ir_module_module where state in ('installed', 'to upgrade')")).rows.map((row) => [
      row.name,
      row.latest_version,
    ]),
  )

/** Writes a file of an attachment into the filestore, and returns its name there. Equal contents are one file. */
export function storeFile({ data_dir, db_name }, bytes) {
  const checksum = createHash('sha1').update(bytes).digest('hex')
  const name = `${checksum.slice(0, 2)}/${checksum}`
  mkdirSync(join(data_dir, 'filestore', db_name, checksum.slice(0, 2)), { recursive: true })
  writeFileSync(join(data_dir, 'filestore', db_name, name), bytes)
  return { name, checksum }
}

export async function addAttachment(db, options, name, bytes) {
  const { name: file, checksum } = storeFile(options, bytes)
  const { rows } = await db.query(
    'insert into ir_attachment (name, store_fname, checksum, file_size) values ($1, $2, $3, $4) returning id',
    [name, file, checksum, bytes.length],
  )
  return rows[0].id
}

async function initialise(db, options) {
  log.info('odoo.modules.db', 'init db')
  await db.query(schema)
  const set = 'insert into ir_config_parameter (key, value) values ($1, $2)'
  await db.query(set, ['database.uuid', randomUUID()])
  await db.query(set, ['database.create_date', new Date().toISOString()])
  await addAttachment(db, options, 'company_logo.png', Buffer.from('logo of My Company'))
}

/** Brings all modules that must change to their new version, each in a transaction of its own. Throws for a module that fails. */
export async function loadModules(db, options, modules) {
  if (!(await isInitialised(db))) {
    if (!options.init.length)
      return log.error('odoo.modules.loading', `Database ${options.db_name} not initialized, you can force it with \`-i base\``)
    await initialise(db, options)
  }
  if (options.init.length > 0 || options.update.length > 0) await listModules(db, modules)
  const unknown = [...options.init, ...options.update].filter((name) => name !== 'all' && !modules.has(name))
  if (unknown.length > 0) log.warning('odoo.modules.loading', `invalid module names, ignored: ${unknown.join(', ')}`)
  const installed = await installedModules(db)
  const wanted = new Set(
    [...installed.keys(), 'base', ...options.init.filter((name) => modules.has(name))].filter((name) => modules.has(name)),
  )
  for (let grown = true; grown; ) {
    const ready = [...modules.values()].filter(
      ({ name, autoInstall, depends }) => !wanted.has(name) && autoInstall && depends.every((other) => wanted.has(other)),
    )
    for (const { name } of ready) wanted.add(name)
    grown = ready.length > 0
  }
  const order = inOrder(modules, wanted)
  const touched = new Set(options.update.includes('all') ? installed.keys() : [...options.update, ...options.init])
  // An update reaches those that depend on the module.
  for (const name of order)
    if (modules.get(name).depends.some((other) => touched.has(other) && options.update.length > 0)) touched.add(name)
  const updated = order.filter((name) => installed.has(name) && touched.has(name))
  await db.query("update ir_module_module set state = 'to upgrade' where name = any($1)", [updated])
  log.info('odoo.modules.loading', `loading ${order.length} modules...`)
  for (const name of order) {
    const module = modules.get(name)
    importModule(module)
    if (installed.has(name) && !updated.includes(name)) continue
    log.info('odoo.modules.loading', `Loading module ${name} (${order.indexOf(name) + 1}/${order.length})`)
    await bringUp(db, module, options.init.includes(name) ? null : (installed.get(name) ?? null))
  }
  log.info('odoo.modules.loading', `${order.length} modules loaded`)
}

/** Adds the modules that the database does not know yet. */
const listModules = (db, modules) =>
  db.query(
    "insert into ir_module_module (name, state) select name, 'uninstalled' from unnest($1::text[]) as name on conflict (name) do nothing",
    [[...modules.keys()]],
  )

async function bringUp(db, module, from) {
  const client = await db.connect()
  try {
    await client.query('begin')
    for (const { table, column } of fieldsOf(module)) {
      await client.query(`create table if not exists "${table}" (id serial primary key)`)
      await client.query(`alter table "${table}" add column if not exists "${column}" varchar`)
    }
    for (const { kind, argument } of from === null ? [] : migrationsOf(module, from)) {
      if (kind === 'sleep') await pause(Number(argument) * 1000)
      if (kind === 'error') log.error(`odoo.addons.${module.name}`, argument)
      if (kind === 'raise') throw argument
    }
    await client.query(
      `insert into ir_module_module (name, state, latest_version) values ($1, 'installed', $2)
       on conflict (name) do update set state = 'installed', latest_version = excluded.latest_version`,
      [module.name, module.version],
    )
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => {})
    throw error
  } finally {
    client.release()
  }
}

/** Turns off what reaches the outside, as a copy of a database must be before it starts. */
export const neutralize = (db) =>
  db.query(`
    update ir_mail_server set active = false;
    insert into ir_mail_server (name, smtp_host, active) values ('neutralization - disable emails', 'invalid', true);
    update ir_cron set active = false where cron_name <> 'Base: Auto-vacuum internal data';
    insert into ir_config_parameter (key, value) values ('database.is_neutralized', 'true') on conflict (key) do update set value = 'true'`)

/** Fails as the registry of a server whose code has fields that the database lacks. */
export async function readUsers(db, modules, where, values) {
  const installed = await installedModules(db)
  const fields = [...modules.values()].filter(({ name }) => installed.has(name)).flatMap(fieldsOf)
  const columns = ['id', 'login', 'password', ...fields.filter(({ table }) => table === 'res_users').map(({ column }) => column)]
  const { rows } = await db.query(
    `select ${columns.map((name) => `res_users."${name}"`).join(', ')} from res_users where active and ${where}`,
    values,
  )
  return rows
}
