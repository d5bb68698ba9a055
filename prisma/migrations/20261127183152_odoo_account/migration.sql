-- CreateEnum
CREATE TYPE "odoo_transport" AS ENUM ('JSON_RPC', 'JSON_2');

-- CreateTable
CREATE TABLE "odoo_account" (
    "id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "web_service_id" UUID,
    "database" TEXT NOT NULL,
    "login" TEXT NOT NULL,
    "secret" BYTEA NOT NULL,
    "transport" "odoo_transport" NOT NULL,
    "odoo_version" TEXT,
    "created_by" TEXT NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),
    "updated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT app_now(),

    CONSTRAINT "odoo_account_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "odoo_account_web_service_id_idx" ON "odoo_account"("web_service_id");

-- CreateIndex
CREATE UNIQUE INDEX "odoo_account_organization_id_id_key" ON "odoo_account"("organization_id", "id");

-- AddForeignKey
ALTER TABLE "odoo_account" ADD CONSTRAINT "odoo_account_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organization"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- odoo_account_stamp
CREATE TRIGGER odoo_account_stamp BEFORE UPDATE ON odoo_account FOR EACH ROW EXECUTE FUNCTION stamp_updated_at();

-- odoo_account_web_service_id_fkey
ALTER TABLE odoo_account ADD CONSTRAINT odoo_account_web_service_id_fkey FOREIGN KEY (organization_id, web_service_id) REFERENCES web_service (organization_id, id) ON DELETE SET NULL (web_service_id);
