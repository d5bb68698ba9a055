-- CreateTable
CREATE TABLE "bridge_key" (
    "api_key_id" UUID NOT NULL,
    "organization_id" UUID NOT NULL,
    "odoo_account_id" UUID NOT NULL,
    "allowed_models" TEXT[],
    "allowed_methods" TEXT[],

    CONSTRAINT "bridge_key_pkey" PRIMARY KEY ("api_key_id")
);

-- CreateIndex
CREATE INDEX "bridge_key_odoo_account_id_idx" ON "bridge_key"("odoo_account_id");

-- CreateIndex
CREATE UNIQUE INDEX "bridge_key_organization_id_api_key_id_key" ON "bridge_key"("organization_id", "api_key_id");

-- AddForeignKey
ALTER TABLE "bridge_key" ADD CONSTRAINT "bridge_key_organization_id_api_key_id_fkey" FOREIGN KEY ("organization_id", "api_key_id") REFERENCES "api_key"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "bridge_key" ADD CONSTRAINT "bridge_key_organization_id_odoo_account_id_fkey" FOREIGN KEY ("organization_id", "odoo_account_id") REFERENCES "odoo_account"("organization_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;
