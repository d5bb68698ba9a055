import { expect, it } from 'vitest'
import { urlSchema } from '../../../src/domain/odoo/odoo-account/model.ts'

it.each(['http://127.0.0.1:26111\\@evil', 'https://erp.example.com\\path', 'https://erp.example.com/a b'])('%s is no address', (url) => {
  expect(urlSchema.safeParse(url).success).toBe(false)
})

it('an address may have a port and a path', () => {
  expect(urlSchema.parse('https://erp.example.com:8069/odoo/')).toBe('https://erp.example.com:8069/odoo')
})
