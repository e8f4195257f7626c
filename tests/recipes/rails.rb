# rails.rb DIRECTORY up|down: what `rails db:migrate` does with the migrations of that directory, without a Rails
# application around it.
require 'active_record'

directory, way = ARGV
ActiveRecord::Base.establish_connection(ENV.fetch('DATABASE_URL'))
ActiveRecord::Migration.verbose = false
ActiveRecord::Migrator.migrations_paths = [directory]
context = ActiveRecord::Base.connection.migration_context
way == 'up' ? context.migrate : context.rollback(context.migrations.size)
