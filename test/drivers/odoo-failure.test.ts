/** What callers see of an exception that Odoo raised. */
import { describe, expect, it } from 'vitest'
import { failureOf } from '../../src/drivers/odoo/failure.ts'

const user = 'odoo.exceptions.UserError'
const textOf = (name: string, message: string, secret = 'the secret') => failureOf({ name, message }, { secret }).message

describe('the text of an exception', () => {
  it.each([
    [user, 'Failed: Traceback (most recent call last):\n  File "/opt/odoo/x.py", line 3, in f\nKeyError: 1', 'Failed'],
    [user, 'Sync failed.\nRemote Traceback (most recent call last):\n  File "/opt/odoo/x.py", line 3', 'Sync failed.'],
    [user, 'Error while rendering\n File "/opt/odoo/x.py", line 3', 'Error while rendering'],
    [user, 'No stock: psycopg2.OperationalError: connection to server on socket "/var/run/x" failed', 'No stock'],
    [user, 'connection to server at "10.0.0.5", port 5432 failed', 'Odoo raised UserError.'],
    [user, 'Cannot open "/var/lib/My Files/acme" or /srv/odoo/a.conf, C:\\odoo\\b.conf.', 'Cannot open "…" or …, …'],
    [user, '(path=/opt/odoo/addons) file:///etc/odoo.conf', '(path=…) …'],
    ['openerp.exceptions.Warning', 'Too late.', 'Too late.'],
    ['odoo.addons.base.models.ir_qweb.QWebException', 'Error in /opt/odoo/x.xml', 'Odoo raised QWebException.'],
    ['odoo.addons.pay.SecretLeak', 'token=42', 'Odoo raised SecretLeak.'],
    ['builtins.OSError', 'disk full', 'Odoo raised OSError.'],
    ['"</script>', 'x', 'Odoo raised an error.'],
  ])('%s: %s', (name, message, text) => {
    expect(textOf(name, message)).toBe(text)
  })

  it.each([
    'Invoice INV/2026/0001 and/or its copy: see https://erp.example.com/web/login and http://[::1]/a/b.',
    '<p>Amount 1/2</p>\nDate: 2026/05/04',
    "type object 'sale.order' has no attribute '/x'",
  ])('keeps %s', (message) => {
    expect(textOf(user, message)).toBe(message)
  })

  it.each([
    ['plain', 'tok/en 7', 'Bad password tok/en 7, really tok/en 7.', 'Bad password …, really ….'],
    ['that looks like a path', '/opt/odoo/x', "authenticate('acme', '/opt/odoo/x')", "authenticate('acme', '…')"],
    ['before a traceback', 'Traceback (', 'Wrong: Traceback (', 'Wrong: …'],
    ['with quotes, as Python writes it', `a'b"c\\d`, `('acme', 'a\\'b"c\\\\d')`, "('acme', '…')"],
    ['with quotes, as JSON writes it', `a'b"c`, `["a'b\\"c"]`, '["…"]'],
    ['with letters, as Python 2 writes it', 'pä\u20ac\u{1f600}', "(u'p\\xe4\\u20ac\\U0001f600')", "(u'…')"],
    ['with letters, as Python 3 writes it', 'pä\u20ac\u{1f600}', "('pä\u20ac\u{1f600}')", "('…')"],
    ['with letters, as JSON writes it', 'pä\u{1f600}', '["p\\u00e4\\ud83d\\ude00"]', '["…"]'],
    ['beyond what is shown', 'k'.repeat(100), `${'x'.repeat(1_990)}${'k'.repeat(100)}`, `${'x'.repeat(1_990)}…`],
  ])('hides a secret %s', (_title, secret, message, text) => {
    expect(textOf(user, message, secret)).toBe(text)
  })

  it('of a megabyte of slashes and quotes takes no longer for it', () => {
    for (const part of ['/', "'/", ' /a', '/a', 'a:\\', 'File "'])
      expect(textOf(user, `x${part.repeat(300_000)}`).length).toBeLessThan(2_002)
  })
})
