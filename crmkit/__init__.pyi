"""The front door of crmkit: every public name, and the file that it comes from; ``__init__.py`` reads this."""

from crmkit.campaigns.effect import CampaignEffect as CampaignEffect, campaign_effect as campaign_effect
from crmkit.campaigns.response import MeasuredResponse as MeasuredResponse, measure_response as measure_response
from crmkit.campaigns.sample_size import HoldoutSize as HoldoutSize, holdout_size as holdout_size
from crmkit.churn.backtest import ChurnBacktest as ChurnBacktest
from crmkit.churn.model import ChurnModel as ChurnModel, load_churn_model as load_churn_model
from crmkit.engine.choose import on_spark as on_spark
from crmkit.engine.duckdb import engine_limits as engine_limits
from crmkit.evaluation.backtest import Backtest as Backtest, backtest as backtest
from crmkit.evaluation.purchases import holdout_by_frequency as holdout_by_frequency, tracking as tracking, value_deciles as value_deciles, visit_history as visit_history
from crmkit.evaluation.selection import ModelChoice as ModelChoice, choose_model as choose_model
from crmkit.exceptions import BusyError as BusyError, ConfigError as ConfigError, ContractError as ContractError, CrmkitError as CrmkitError, CrmkitWarning as CrmkitWarning, ExtractError as ExtractError, LeakError as LeakError, ModelError as ModelError, NoInputError as NoInputError, PublishError as PublishError, RefusedError as RefusedError, SourceChangedError as SourceChangedError
from crmkit.ingest.extracts import read_extract as read_extract
from crmkit.ingest.layouts import layout as layout
from crmkit.ingest.tables import Costs as Costs, Members as Members, Products as Products, ServiceRecords as ServiceRecords
from crmkit.models import BGBB as BGBB, BGCNBD as BGCNBD, BGNBD as BGNBD, CustomerLifetimeValue as CustomerLifetimeValue, GammaGamma as GammaGamma, GammaGammaTrend as GammaGammaTrend, MBGCNBD as MBGCNBD, MBGNBD as MBGNBD, NBD as NBD, ParetoNBD as ParetoNBD, from_lifetimes as from_lifetimes, load_model as load_model, to_lifetimes as to_lifetimes
from crmkit.models.displays import alive_matrix as alive_matrix, repeat_purchases as repeat_purchases
from crmkit.models.scoring import customer_cells as customer_cells, fit_customers as fit_customers, score_customers as score_customers, score_file as score_file
from crmkit.offers.control_group import control_group as control_group
from crmkit.offers.deals import Deals as Deals
from crmkit.offers.plan import OfferPlan as OfferPlan
from crmkit.offers.tips import choose_tips as choose_tips
from crmkit.products.life_cycles import life_cycle as life_cycle
from crmkit.reports.lists.html import write_html_lists as write_html_lists
from crmkit.reports.lists.mailing import write_offers as write_offers
from crmkit.reports.lists.page_layout import print_lists as print_lists
from crmkit.reports.report import Report as Report
from crmkit.repurchase.next_purchase import NextPurchase as NextPurchase
from crmkit.segments.brand_usage import BrandUsage as BrandUsage, own_brand_change as own_brand_change
from crmkit.segments.clusters import CustomerClusters as CustomerClusters
from crmkit.segments.contact_lists import contact_lists as contact_lists
from crmkit.segments.migration import migration as migration
from crmkit.segments.relationships import RelationshipLevel as RelationshipLevel
from crmkit.segments.rfm import RFMScores as RFMScores
from crmkit.segments.target_groups import target_group as target_group, track_group as track_group
from crmkit.segments.tiers import ValueTiers as ValueTiers, concentration as concentration, past_and_expected as past_and_expected
from crmkit.summaries.costs import allocate_costs as allocate_costs
from crmkit.summaries.customers import btyd_summary as btyd_summary, holdout_summary as holdout_summary, rfm_table as rfm_table
from crmkit.summaries.items import purchase_gaps as purchase_gaps
from crmkit.summaries.sales import sales_summary as sales_summary
from crmkit.summaries.service import satisfaction_index as satisfaction_index, service_signals as service_signals
from crmkit.transactions.log import Transactions as Transactions
from crmkit.transactions.rejections import Rejections as Rejections
from crmkit.transactions.store import Store as Store
from crmkit.transactions.suspect_cards import suspect_cards as suspect_cards
from crmkit.evaluation import metrics as metrics

__version__: str
